import { connect, createServer, type Server, type Socket } from 'node:net';

/** A socket in front of another one: what comes there waits until it is let through. */
export class HeldSocket implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #through = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();

  private constructor(path: string, behind: string) {
    this.path = path;
    this.#server = createServer((socket) => {
      this.#reached.resolve();
      void this.#through.promise.then(() => {
        const inner = connect(behind);
        this.#sockets.push(socket, inner);
        for (const each of [socket, inner]) each.on('error', () => each.destroy());
        socket.pipe(inner).pipe(socket);
      });
    });
  }

  static async listen(path: string, behind: string): Promise<HeldSocket> {
    const held = new HeldSocket(path, behind);
    await new Promise<void>((resolve) => held.#server.listen(path, resolve));
    return held;
  }

  /** Somebody is connected, and waits. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  letThrough(): void {
    this.#through.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
