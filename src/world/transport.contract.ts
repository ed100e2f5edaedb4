import { afterEach, describe, expect, it } from 'vitest';
import { isKomError } from '../domain/errors.ts';
import type { Connection, Listener, Transport } from './transport.ts';

/** A transport under test, and the way to let time pass until a promise settles. */
export interface TransportUnderTest {
  readonly transport: Transport;
  readonly pass: <T>(promise: Promise<T>) => Promise<T>;
  /** A fresh path for a Unix socket, starting with a slash. */
  readonly localPath: () => string;
  readonly sleep: (ms: number) => Promise<void>;
}

const TIMEOUT_MS = 5000;
/** More than all the buffers of a system between two sockets of one machine hold. */
const FLOOD_BYTES = 24 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

/** What every transport promises, whether its network is real or simulated. */
export function transportContract(kind: string, make: () => TransportUnderTest): void {
  const listeners: Listener[] = [];
  const connections: Connection[] = [];
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
  });

  async function joined(test: TransportUnderTest, place: 'tcp' | 'local' = 'tcp') {
    const { transport, pass } = test;
    const accepted: Connection[] = [];
    const accept = (connection: Connection) => {
      accepted.push(connection);
      connections.push(connection);
    };
    const path = test.localPath();
    const listening =
      place === 'tcp'
        ? transport.listen({ host: '127.0.0.1', port: 0 }, accept)
        : transport.listenLocal(path, accept);
    const listener = await pass(listening);
    listeners.push(listener);
    const options = { timeoutMs: TIMEOUT_MS };
    const opening =
      place === 'tcp' ? transport.connect(listener.address, options) : transport.connectLocal(path, options);
    const client = await pass(opening);
    connections.push(client);
    while (accepted.length === 0) await pass(test.sleep(1));
    return { client, server: accepted[0]!, listener, path };
  }

  describe(`${kind} transport`, () => {
    for (const place of ['tcp', 'local'] as const) {
      it(`carries bytes both ways in order and ends each way by itself (${place})`, async () => {
        const test = make();
        const { client, server } = await joined(test, place);
        const sent = pattern(200_000);
        const echo = (async () => {
          const got = await readAll(server);
          await server.send(got);
          server.close();
        })();
        await test.pass(client.send(sent.slice(0, 1)));
        const sending = client.send(sent.slice(1));
        const reading = readAll(client);
        await test.pass(sending);
        client.close();
        client.close();
        await test.pass(echo);
        expect(Buffer.from(await test.pass(reading)).equals(sent)).toBe(true);
      });
    }

    it('names the port it listens on and the other side of a connection', async () => {
      const { client, server, listener } = await joined(make());
      expect(listener.address.port).toBeGreaterThan(0);
      expect(client.remote).toBe(`127.0.0.1:${listener.address.port}`);
      expect(server.remote).toMatch(/:\d+$/);
    });

    it('makes the sender wait while nobody reads, and loses nothing of it', async () => {
      const test = make();
      const { client, server } = await joined(test);
      const piece = pattern(PIECE_BYTES);
      let sentBytes = 0;
      const flood = (async () => {
        while (sentBytes < FLOOD_BYTES) {
          await client.send(piece);
          sentBytes += piece.length;
        }
        client.close();
      })();
      await test.pass(test.sleep(300));
      const stalledBytes = sentBytes;
      expect(stalledBytes).toBeLessThan(FLOOD_BYTES);
      expect(client.queuedBytes).toBeGreaterThan(0);
      expect(client.queuedBytes).toBeLessThanOrEqual(PIECE_BYTES + 64 * 1024);
      await test.pass(test.sleep(100));
      expect(sentBytes).toBe(stalledBytes);
      const received = await test.pass(readAll(server));
      await test.pass(flood);
      expect(received.length).toBe(FLOOD_BYTES);
      expect(Buffer.from(received.subarray(-PIECE_BYTES)).equals(piece)).toBe(true);
      expect(client.queuedBytes).toBe(0);
    });

    it('tells both sides when one breaks the connection, and sends no more', async () => {
      const test = make();
      const { client, server } = await joined(test);
      const reading = failure(readAll(server));
      client.destroy();
      client.destroy();
      expect(isKomError(await test.pass(reading), 'KOM_CONNECTION_LOST')).toBe(true);
      const bytes = new Uint8Array(1);
      expect(isKomError(await test.pass(failure(client.send(bytes))), 'KOM_CONNECTION_LOST')).toBe(true);
      expect(isKomError(await test.pass(failure(readAll(client))), 'KOM_CONNECTION_LOST')).toBe(true);
      await test.pass(test.sleep(10));
      expect(isKomError(await test.pass(failure(server.send(bytes))), 'KOM_CONNECTION_LOST')).toBe(true);
    });

    it('wakes a sender that waits for room when the connection breaks', async () => {
      const test = make();
      const { client, server } = await joined(test);
      const flood = failure(
        (async () => {
          for (;;) await client.send(pattern(PIECE_BYTES));
        })(),
      );
      await test.pass(test.sleep(100));
      server.destroy();
      expect(isKomError(await test.pass(flood), 'KOM_CONNECTION_LOST')).toBe(true);
    });

    it('refuses to send after close', async () => {
      const test = make();
      const { client } = await joined(test);
      client.close();
      const error = await test.pass(failure(client.send(new Uint8Array(1))));
      expect(isKomError(error, 'KOM_CONNECTION_LOST')).toBe(true);
    });

    it('is refused where nobody listens, and where nobody listens any more', async () => {
      const test = make();
      const { client, server, listener } = await joined(test);
      await test.pass(listener.close());
      const again = test.transport.connect(listener.address, { timeoutMs: TIMEOUT_MS });
      expect(isKomError(await test.pass(failure(again)), 'KOM_CONNECTION_REFUSED')).toBe(true);
      // Open connections stay.
      await test.pass(client.send(new Uint8Array([7])));
      client.close();
      expect([...(await test.pass(readAll(server)))]).toEqual([7]);
    });

    it('does not listen twice on one address', async () => {
      const test = make();
      const { listener } = await joined(test);
      const second = test.transport.listen(listener.address, () => {});
      expect(isKomError(await test.pass(failure(second)), 'KOM_LISTEN')).toBe(true);
    });

    it('gives up connecting with the reason of its signal', async () => {
      const test = make();
      const reason = new Error('stop');
      const options = { timeoutMs: TIMEOUT_MS, signal: AbortSignal.abort(reason) };
      const opening = test.transport.connect({ host: '127.0.0.1', port: 1 }, options);
      expect(await test.pass(failure(opening))).toBe(reason);
    });

    it('keeps one owner of a Unix socket, and says when there is none', async () => {
      const test = make();
      const { path } = await joined(test, 'local');
      const second = test.transport.listenLocal(path, () => {});
      expect(isKomError(await test.pass(failure(second)), 'KOM_ALREADY_RUNNING')).toBe(true);
      const nowhere = test.transport.connectLocal(test.localPath(), { timeoutMs: TIMEOUT_MS });
      expect(isKomError(await test.pass(failure(nowhere)), 'KOM_NOT_RUNNING')).toBe(true);
    });

    it('drops what comes after a reader has stopped, and goes on sending', async () => {
      const test = make();
      const { client, server } = await joined(test);
      await test.pass(client.send(new Uint8Array([1])));
      const first = (async () => {
        for await (const bytes of server) return bytes.length;
        return 0;
      })();
      expect(await test.pass(first)).toBeGreaterThan(0);
      for (let i = 0; i < 20; i++) await test.pass(client.send(pattern(PIECE_BYTES)));
      await test.pass(server.send(new Uint8Array([2])));
      server.close();
      expect([...(await test.pass(readAll(client)))]).toEqual([2]);
    });
  });
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >>> 8)) & 0xff);
}

async function readAll(connection: Connection): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of connection) pieces.push(bytes);
  return new Uint8Array(Buffer.concat(pieces));
}

/** What a promise fails with; fails itself when it does not. */
function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('this should have failed');
    },
    (error: unknown) => error,
  );
}
