import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { createClock } from '../../src/world/real/clock.ts';
import { Plant, START_US } from '../support/workload.ts';

const PORT = 18_883;
const START_MAX_MS = 5000;
/** Messages that may be unacknowledged, as many as the protocol has numbers for, about. */
const IN_FLIGHT_MAX = 60_000;
/** Bytes that are gathered for one write. */
const WRITE_BYTES = 64 * 1024;

/**
 * The same kind of samples, each a JSON message of MQTT 3.1.1 with QoS 1, to mosquitto on this machine: the
 * seconds until the last PUBACK, with nobody subscribed. `null` where mosquitto is not installed. The client
 * is a bare one (no package is needed): it only numbers, writes and counts.
 */
export async function mqttPublish(directory: string, count: number): Promise<{ seconds: number } | null> {
  const broker = await startBroker(directory);
  if (broker === null) return null;
  try {
    const socket = await connect();
    const clock = createClock();
    const startMs = clock.monotonicMs();
    await publish(socket, count);
    const seconds = (clock.monotonicMs() - startMs) / 1000;
    socket.destroy();
    return { seconds };
  } finally {
    broker.kill('SIGKILL');
    await once(broker, 'exit');
  }
}

async function startBroker(directory: string): Promise<ChildProcess | null> {
  const file = join(directory, 'mosquitto.conf');
  const limits = 'max_inflight_messages 0\nmax_queued_messages 0';
  writeFileSync(file, `listener ${PORT} 127.0.0.1\nallow_anonymous true\npersistence false\n${limits}\n`);
  const broker = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  const failed = once(broker, 'error').then(() => null);
  const started = once(broker, 'spawn').then(() => broker);
  return await Promise.race([started, failed]);
}

async function connect(): Promise<Socket> {
  const endMs = performance.now() + START_MAX_MS;
  for (;;) {
    const socket = createConnection({ host: '127.0.0.1', port: PORT });
    try {
      await once(socket, 'connect');
      const clientId = Buffer.from('\0\u0005bench', 'latin1');
      // CONNECT: protocol MQTT, level 4, clean session, no keep-alive.
      const variable = Buffer.concat([Buffer.from('\0\u0004MQTT\u0004\u0002\0\0', 'latin1'), clientId]);
      socket.write(Buffer.concat([Buffer.from([0x10, variable.length]), variable]));
      const [answer] = (await once(socket, 'data')) as [Buffer];
      if (answer[0] !== 0x20 || answer[3] !== 0) throw new Error('mosquitto refuses the connection');
      return socket;
    } catch (error) {
      socket.destroy();
      if (performance.now() > endMs) throw error;
      await createClock().sleep(50);
    }
  }
}

async function publish(socket: Socket, count: number): Promise<void> {
  let acknowledgedBytes = 0;
  let wake = (): void => {};
  // Nothing but PUBACKs of four bytes comes.
  socket.on('data', (bytes: Buffer) => {
    acknowledgedBytes += bytes.length;
    wake();
  });
  const acknowledged = (): number => Math.floor(acknowledgedBytes / 4);
  const untilAcknowledged = async (least: number): Promise<void> => {
    while (acknowledged() < least) await new Promise<void>((resolve) => (wake = resolve));
  };
  let sent = 0;
  for await (const bytes of packets(count)) {
    await untilAcknowledged(sent - IN_FLIGHT_MAX);
    sent += bytes.count;
    if (!socket.write(bytes.bytes)) await once(socket, 'drain');
  }
  await untilAcknowledged(count);
}

/** PUBLISH packets, some of them in one buffer. */
function* packets(count: number): Generator<{ readonly bytes: Buffer; readonly count: number }> {
  const plant = new Plant('mixedBusy');
  let parts: Buffer[] = [];
  let size = 0;
  let made = 0;
  for (let scan = 0; made < count; scan++) {
    for (const { readings } of plant.scan(START_US + scan * 1_000_000)) {
      for (const { tagIndex, sourceTimeUs, value, quality } of readings) {
        if (made === count) break;
        made += 1;
        const plain = typeof value === 'bigint' ? String(value) : value;
        const payload = Buffer.from(JSON.stringify({ t: sourceTimeUs, v: plain, q: quality }));
        const packet = publishPacket(`Bench/KomA/P.t${tagIndex}`, payload, (made % 65_535) + 1);
        parts.push(packet);
        size += packet.length;
        if (size < WRITE_BYTES) continue;
        yield { bytes: Buffer.concat(parts), count: parts.length };
        parts = [];
        size = 0;
      }
    }
  }
  if (parts.length > 0) yield { bytes: Buffer.concat(parts), count: parts.length };
}

/** QoS 1; of less than 128 bytes behind its length, as these are. */
function publishPacket(topic: string, payload: Buffer, packetId: number): Buffer {
  const length = 2 + topic.length + 2 + payload.length;
  if (length > 127) throw new RangeError('a packet is longer than one byte of length says');
  const head = Buffer.alloc(4 + topic.length + 2);
  head[0] = 0x32;
  head[1] = length;
  head.writeUInt16BE(topic.length, 2);
  head.write(topic, 4, 'latin1');
  head.writeUInt16BE(packetId, 4 + topic.length);
  return Buffer.concat([head, payload]);
}
