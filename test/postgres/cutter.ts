import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What happens to the connection that sends the next COMMIT: it is cut before the server hears of it, cut
 * once the server has answered, or nothing passes any more while both ends stay open.
 */
export type Cut = 'before' | 'after' | 'freeze';

const COMMIT = Buffer.from('COMMIT\0');

/** A proxy before the socket of a server that cuts connections at the worst moment. */
export class CommitCutter implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: string;
  #cut: Cut | null = null;
  /** Cuts that were made. */
  made = 0;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((client) => this.#pass(client));
  }

  /** `target`: path of the server's socket. */
  static async start(target: string): Promise<CommitCutter> {
    const cutter = new CommitCutter(target);
    await new Promise<void>((resolve) => cutter.#server.listen(0, '127.0.0.1', resolve));
    return cutter;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return address.port;
  }

  /** The next COMMIT on any connection is cut. */
  next(cut: Cut): void {
    this.#cut = cut;
  }

  #pass(client: Socket): void {
    const server = connect(this.#target);
    let state: 'open' | 'committed' | 'frozen' = 'open';
    const both = [client, server];
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (state !== 'frozen') for (const each of both) each.destroy();
      });
    }
    client.on('data', (bytes) => {
      if (state === 'frozen') return;
      const cut = bytes.includes(COMMIT) ? this.#cut : null;
      if (cut !== null) {
        this.#cut = null;
        this.made += 1;
        if (cut === 'freeze') state = 'frozen';
        else if (cut === 'before') for (const each of both) each.destroy();
        else state = 'committed';
      }
      if (cut === null || cut === 'after') server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (state === 'committed') for (const each of both) each.destroy();
      else if (state === 'open') client.write(bytes);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
