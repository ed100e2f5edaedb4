import { ClassStore } from '../../src/agent/class-store.ts';
import type { UplinkSettings } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { Uplink, type UplinkOptions } from '../../src/uplink/uplink.ts';
import type { Archive } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';

export const RADIO: UplinkSettings = {
  ...WIRED,
  heartbeatMs: 2000,
  silenceMaxMs: 10_000,
  connectTimeoutMs: 20_000,
};

export interface LinkWorldOptions {
  readonly settings?: Partial<UplinkSettings>;
  readonly tagCount?: number;
  /** Hosts of Kernels in the order of the site file; all of them are one Kernel over several networks. */
  readonly hosts?: readonly string[];
  readonly transport?: (network: SimulatedNetwork) => UplinkOptions['transport'];
  /** What stands between the Kernel and its archive. */
  readonly wrapArchive?: (archive: SimulatedArchive) => Archive;
  /** What a run before this one numbered under other names and left in the ring, and ended cleanly. */
  readonly earlierSamples?: number;
  /** Runs before this one, each of which numbered three samples and was cut off. */
  readonly crashes?: number;
  /** What lies on the disk before anything runs. */
  readonly prepare?: (disk: SimulatedDisk) => Promise<void>;
  readonly namedStreamsMax?: number;
  readonly localAddresses?: (host: string) => Readonly<Record<string, string>>;
}

/** An agent's store and uplink and a Kernel, on virtual time. */
export async function makeLinkWorld(options: LinkWorldOptions = {}) {
  const { tagCount = 1, hosts = ['kernel'] } = options;
  const random = createSimulatedRandom(3);
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, random });
  const archive = new SimulatedArchive();
  const asked = options.wrapArchive?.(archive) ?? archive;
  const kernel = new KernelServer({ archive: asked, programVersion: 'test', clock, random, log: silentLog });
  for (const host of hosts) {
    await network.host(host).listen({ host, port: 3119 }, (each) => kernel.accept(each));
  }
  const disk = new SimulatedDisk(clock, random);
  if (options.earlierSamples !== undefined) {
    const earlier = await openStore({ clock, random, tagCount, disk, station: 'Former' });
    await clock.runUntil(leaveBehind(earlier, clock, options.earlierSamples), 3_600_000);
  }
  for (let run = 0; run < (options.crashes ?? 0); run++) {
    const crashed = await openStore({ clock, random, tagCount, disk });
    await clock.runUntil(leaveBehind(crashed, clock, 3, { cleanly: false }), 3_600_000);
  }
  await options.prepare?.(disk);
  const store = await openStore({ clock, random, tagCount, disk });
  const uplink = new Uplink({
    kernels: hosts.map((host) => ({
      ...{ host, port: 3119, insecure: true },
      localAddresses: options.localAddresses?.(host) ?? {},
    })),
    server: 'Server1',
    identity: { programVersion: 'test', site: 'S', process: 'KomA', instance: 1, siteHash: 'a'.repeat(32) },
    settings: { ...WIRED, ...options.settings },
    sources: [store.source],
    ...(options.namedStreamsMax === undefined ? {} : { namedStreamsMax: options.namedStreamsMax }),
    transport: options.transport?.(network) ?? network.host('agent'),
    clock,
    random,
    log: silentLog,
  });
  const stop = new AbortController();
  const run = uplink.run(stop.signal);
  let made = 0;
  /** New values of some tags, one after the other. */
  const produce = (count: number): void => {
    const entries = Array.from({ length: count }, () => {
      const tagIndex = made++ % tagCount;
      const value = Math.sin(made) * 1e6;
      return { tagIndex, sourceTimeUs: clock.wallUs(), value, quality: 0, cause: 'change' as const };
    });
    store.accept(entries);
  };
  /** Produces at a pace for a time, and looks at what is going on ten times a second. */
  const live = async (forMs: number, perS: number, look: () => void = () => {}): Promise<void> => {
    const startMs = clock.monotonicMs();
    let done = 0;
    while (clock.monotonicMs() - startMs < forMs) {
      const due = Math.floor(((clock.monotonicMs() - startMs) / 1000) * perS);
      produce(due - done);
      done = due;
      await clock.advance(100);
      look();
    }
  };
  const presence = () => kernel.presence.of('S', 'KomA');
  const state = () => store.backlog.state;
  return { clock, network, archive, kernel, store, uplink, produce, live, presence, state, stop, run };
}

export type LinkWorld = Awaited<ReturnType<typeof makeLinkWorld>>;

export async function openStore(options: {
  readonly clock: SimulatedClock;
  readonly random: ReturnType<typeof createSimulatedRandom>;
  readonly tagCount: number;
  readonly disk?: SimulatedDisk;
  readonly station?: string;
}): Promise<ClassStore> {
  const { clock, random, tagCount, station = 'P' } = options;
  const { disk = new SimulatedDisk(clock, random) } = options;
  const dictionary: Dictionary = {
    site: 'S',
    process: 'KomA',
    tags: Array.from({ length: tagCount }, (_, at) => ({
      ...{ name: `${station}.T${at}`, station, class: 'measurement' as const, type: 'float64' as const },
      ...{ unit: '', formerly: [] },
    })),
  };
  return await ClassStore.open({
    disk,
    buffer: {
      ...{ store: 'on-outage', capacityBytes: 64_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
      ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
      ...{ aliveMarkMs: 5000, windowBytes: 4_000_000 },
    },
    share: 1,
    dictionary,
    tagIndexes: dictionary.tags.map((_, at) => at),
    ...{ clock, random, log: silentLog, bootId: 'b'.repeat(32), overloadEnded: () => {} },
  });
}

/** Numbers samples of a run without a Kernel and ends it, as a clean end or a crash does. */
async function leaveBehind(
  store: ClassStore,
  clock: SimulatedClock,
  count: number,
  { cleanly } = { cleanly: true },
): Promise<void> {
  for (let at = 0; at < count; at += 500) {
    const entries = Array.from({ length: Math.min(500, count) }, (_, nth) => {
      const value = Math.sin(at + nth) * 1e6;
      return { tagIndex: 0, sourceTimeUs: clock.wallUs(), value, quality: 0, cause: 'change' as const };
    });
    store.accept(entries);
    await clock.sleep(1000);
  }
  store.finish();
  await store.backlog.close();
  if (cleanly) await store.ring.endStream(store.producedTo, clock.wallUs());
  await store.ring.close();
}

/** Everything that was numbered is data in the archive. */
export async function isDelivered({ archive, store }: LinkWorld): Promise<boolean> {
  const coverage = await archive.coverage(store.ring.stream.streamId);
  const [first, ...rest] = coverage;
  return rest.length === 0 && first?.first === 1 && first.last === store.producedTo && first.state === 'data';
}

/** Lets time pass until something is so; the milliseconds it took. */
export async function untilSo(world: LinkWorld, isSo: () => boolean | Promise<boolean>): Promise<number> {
  const startMs = world.clock.monotonicMs();
  while (!(await isSo())) {
    if (world.clock.monotonicMs() - startMs > 600_000) throw new Error('it never came');
    await world.clock.advance(20);
  }
  return world.clock.monotonicMs() - startMs;
}
