import { expect, it } from 'vitest';
import { ClassStore } from '../src/agent/class-store.ts';
import { WIRED } from '../src/config/uplink.fixture.ts';
import type { Dictionary } from '../src/domain/dictionary.ts';
import { KernelServer } from '../src/kernel/server.ts';
import { Uplink } from '../src/uplink/uplink.ts';
import { silentLog } from '../src/world/log.ts';
import { SimulatedArchive } from '../src/world/simulated/archive.ts';
import { SimulatedClock } from '../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../src/world/simulated/random.ts';
import type { Connection, Transport } from '../src/world/transport.ts';

const dictionary: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: [{ name: 'T', station: 'P', class: 'measurement', type: 'int64', unit: '', formerly: [] }],
};

/** A transport whose connections can each go dead without a word, as when a firewall forgets them. */
function forgetful(transport: Transport) {
  const dead = new Set<number>();
  let opened = 0;
  const connect: Transport['connect'] = async (address, options) => {
    const number = ++opened;
    const inner = await transport.connect(address, options);
    const connection: Connection = {
      remote: inner.remote,
      peerCertificate: inner.peerCertificate,
      queuedBytes: 0,
      send: (bytes) => (dead.has(number) ? Promise.resolve() : inner.send(bytes)),
      close: () => inner.close(),
      destroy: () => inner.destroy(),
      async *[Symbol.asyncIterator]() {
        for await (const bytes of inner) if (!dead.has(number)) yield bytes;
      },
    };
    return connection;
  };
  return { transport: { ...transport, connect }, dead, opened: () => opened };
}

async function setUp() {
  const random = createSimulatedRandom(3);
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, random });
  const archive = new SimulatedArchive();
  const kernel = new KernelServer({ archive, programVersion: 'test', clock, random, log: silentLog });
  await network.host('kernel').listen({ host: 'kernel', port: 3119 }, (each) => kernel.accept(each));
  const store = await ClassStore.open({
    disk: new SimulatedDisk(clock, random),
    buffer: {
      store: 'on-outage',
      capacityBytes: 64_000_000,
      freeDiskFloorBytes: 0,
      alarmShare: 0,
      whenFull: 'drop-oldest',
      powerCutLossMaxMs: 1000,
      blockAgeMs: 250,
      spillAgeMs: 500,
      aliveMarkMs: 5000,
      windowBytes: 1_000_000,
    },
    share: 1,
    dictionary,
    tagIndexes: [0],
    clock,
    random,
    log: silentLog,
    bootId: 'b'.repeat(32),
    overloadEnded: () => {},
  });
  const agent = forgetful(network.host('agent'));
  const uplink = new Uplink({
    kernels: [{ host: 'kernel', port: 3119, insecure: true, localAddresses: {} }],
    server: 'Server1',
    identity: { programVersion: 'test', site: 'S', process: 'KomA', instance: 1, siteHash: 'a'.repeat(32) },
    settings: {
      ...WIRED,
      ...{ heartbeatMs: 250, silenceMaxMs: 1500, connectTimeoutMs: 2000, liveIntervalMs: 500 },
    },
    sources: [store.source],
    transport: agent.transport,
    clock,
    random,
    log: silentLog,
  });
  void uplink.run(new AbortController().signal);
  return { clock, archive, store, agent };
}

it.each([
  ['control', 1],
  ['data', 2],
])('a %s connection that is silently dead is noticed and delivery goes on', async (_, deadConnection) => {
  const { clock, archive, store, agent } = await setUp();
  const { streamId } = store.ring.stream;
  const produce = async (seconds: number): Promise<void> => {
    for (let step = 0; step < seconds * 2; step++) {
      const value = BigInt(store.producedTo);
      store.accept([{ tagIndex: 0, sourceTimeUs: clock.wallUs(), value, quality: 0, cause: 'change' }]);
      await clock.advance(500);
    }
  };
  await produce(3);
  expect(agent.opened()).toBe(2);
  agent.dead.add(deadConnection);
  await produce(3);
  expect(agent.opened(), 'both lanes were opened anew').toBe(4);
  await produce(3);
  await clock.advance(2000);
  expect(await archive.coverage(streamId)).toEqual([{ first: 1, last: store.producedTo, state: 'data' }]);
});
