import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpcuaLine, OpcuaStation, OpcuaTag } from '../../src/config/model.ts';
import { COLD } from '../../src/config/redundancy.fixture.ts';
import type { ValueType } from '../../src/domain/dictionary.ts';
import type { Reading } from '../../src/domain/sample.ts';
import type { LinkBatch } from '../../src/drivers/driver.ts';
import type { ServedValue } from '../../src/sim/record.ts';

export function opcuaTag(index: number, change: Partial<OpcuaTag> = {}): OpcuaTag {
  return {
    index,
    name: `S.T${index}`,
    class: 'measurement',
    type: 'float64',
    engineeringUnit: '',
    description: '',
    formerly: [],
    deadband: 0,
    reportAtLeastEveryMs: 600_000,
    origin: 'test',
    nodeId: `ns=2;s=T${index}`,
    samplingIntervalMs: 100,
    queueSize: 20,
    ...change,
  };
}

const TYPES: readonly ValueType[] = ['float64', 'int64', 'bool', 'text'];

/** Stations of mixed tags whose rates differ. */
export function mixedStations(stations: number, tagsEach: number): OpcuaStation[] {
  return Array.from({ length: stations }, (_, station) => ({
    name: `S${station}`,
    mode: 'on' as const,
    tags: Array.from({ length: tagsEach }, (_, position) => {
      const index = station * tagsEach + position;
      return opcuaTag(index, {
        name: `S${station}.T${position}`,
        type: TYPES[index % TYPES.length]!,
        nodeId:
          index % 7 === 0
            ? `nsu=urn:test:plant;s=S${station}/T${position}`
            : `ns=2;s=S${station}.T${position}`,
        samplingIntervalMs: [50, 100, 250, 500][index % 4]!,
      });
    }),
  }));
}

export function opcuaLine(change: Partial<OpcuaLine> = {}): OpcuaLine {
  return {
    driver: 'opcua',
    name: 'plant',
    reconnectDelayMinMs: 50,
    reconnectDelayMaxMs: 200,
    endpointUrl: 'opc.tcp://127.0.0.1:0/UA/plant',
    securityPolicy: 'None',
    securityMode: 'None',
    pkiDirectory: '/nonexistent',
    trustOnFirstUse: true,
    publishingIntervalMs: 100,
    keepAliveCount: 5,
    lifetimeCount: 60,
    sessionTimeoutMs: 30_000,
    connectTimeoutMs: 5000,
    failover: COLD,
    stations: [{ name: 'S', mode: 'on', tags: [opcuaTag(0)] }],
    ...change,
  };
}

/** A directory that goes away with the test. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'kom-opcua-test-'));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
    },
  };
}

export function recording(): { served: (value: ServedValue) => void; values: ServedValue[] } {
  const values: ServedValue[] = [];
  return { values, served: (value) => void values.push(value) };
}

/** Pulls batches in the background until the link ends or `stop` is called. */
export function collect(link: AsyncIterable<LinkBatch>): Collected {
  const batches: LinkBatch[] = [];
  const ended = (async () => {
    for await (const batch of link) batches.push(batch);
  })().then(
    () => undefined,
    (error: unknown) => error,
  );
  return {
    batches,
    ended,
    readings: () => batches.flatMap((batch) => batch.readings),
    of: (tagIndex) => batches.flatMap((batch) => batch.readings.filter((each) => each.tagIndex === tagIndex)),
  };
}

export interface Collected {
  readonly batches: LinkBatch[];
  /** The error that ended the iteration, or undefined. */
  readonly ended: Promise<unknown>;
  readings(): Reading[];
  of(tagIndex: number): Reading[];
}

/** A TCP proxy that can cut what goes through it, or swallow it without a word. */
export async function cuttingProxy(toPort: number): Promise<CuttingProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isMute = false;
  const server = createServer((near) => {
    const far = connectTcp(toPort, '127.0.0.1');
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => isMute || to.write(bytes));
      from.on('error', () => undefined);
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const cut = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  return {
    cut,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    mute(muted) {
      isMute = muted;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  cut(): void;
  mute(muted: boolean): void;
}

export async function until(condition: () => boolean, withinMs = 10_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
