import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { openBenchRing } from '../ring/parts.ts';

const READ_BYTES = 1024 * 1024;

/**
 * Raw LevelDB read and raw socket write of what a filled ring holds: no session, no Kernel, no archive.
 * Returns the seconds from the first read until the other end has the last byte.
 */
export async function rawDrain(directory: string): Promise<{ seconds: number; bytes: number }> {
  await copyOut(directory);
  const store = await (await openLevelDisk(join(directory, 'raw'))).open('blocks');
  let received = 0;
  let done = (): void => {};
  const sink = createServer((socket: Socket) => {
    socket.on('data', (bytes) => {
      received += bytes.length;
    });
    socket.on('end', () => done());
  });
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const address = sink.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const socket = createConnection({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  const clock = createClock();
  const startMs = clock.monotonicMs();
  let after: Uint8Array | undefined;
  for (;;) {
    const records = await store.read({
      limitBytes: READ_BYTES,
      ...(after === undefined ? {} : { gt: after }),
    });
    if (records.length === 0) break;
    for (const { value } of records) if (!socket.write(value)) await once(socket, 'drain');
    after = records.at(-1)?.key;
  }
  const finished = new Promise<void>((resolve) => {
    done = resolve;
  });
  socket.end();
  await finished;
  const seconds = (clock.monotonicMs() - startMs) / 1000;
  sink.close();
  await store.close();
  return { seconds, bytes: received };
}

/** The blocks of the ring into one plain database, one key a block. */
async function copyOut(directory: string): Promise<void> {
  const ring = await openBenchRing(join(directory, 'KomA'), { capacityBytes: 2e9, policy: 'on-outage' });
  const store = await (await openLevelDisk(join(directory, 'raw'))).open('blocks');
  let after: number | null = null;
  let number = 0;
  for (;;) {
    const read = await ring.readUnacknowledged(after, READ_BYTES);
    const writes = read.blocks.map(({ block }) => {
      const key = Buffer.alloc(8);
      key.writeBigUInt64BE(BigInt(number++));
      return { type: 'put' as const, key, value: block.bytes };
    });
    await store.batch(writes, { sync: false });
    after = read.after;
    if (!read.more) break;
  }
  await store.close();
  await ring.close();
}
