import { ClassStore } from '../../src/agent/class-store.ts';
import type { BufferSettings, PeerAddress } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { type Mirror, openMirror } from '../../src/redundancy/mirror.ts';
import { startMember } from '../../src/redundancy/peer.fixture.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import { silentLog } from '../../src/world/log.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';

const BUFFER: BufferSettings = {
  ...{ store: 'on-outage', capacityBytes: 4_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
  ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
  ...{ aliveMarkMs: 5000, windowBytes: 400_000 },
};

export interface WorldOptions {
  readonly buffer?: Partial<BufferSettings>;
  /** Of each mirror. */
  readonly mirrorCapacityBytes?: number;
  readonly seed?: number;
}

export type Instance = Awaited<ReturnType<MirrorWorld['start']>>;

/** Two instances of a process with their stores, mirrors, uplinks and peer link, and a Kernel. */
export class MirrorWorld {
  readonly clock = new SimulatedClock();
  readonly random;
  readonly network;
  readonly archive = new SimulatedArchive();
  readonly kernel: KernelServer;
  readonly disks = new Map<string, SimulatedDisk>();
  readonly #options: WorldOptions;
  #made = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.random = createSimulatedRandom(options.seed ?? 5);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random });
    const { archive, clock, random } = this;
    this.kernel = new KernelServer({ archive, programVersion: 'test', clock, random, log: silentLog });
  }

  async serve(): Promise<void> {
    const address = { host: 'kernel', port: 3119 };
    await this.network.host('kernel').listen(address, (each) => this.kernel.accept(each));
  }

  disk(name: string): SimulatedDisk {
    const disk = this.disks.get(name) ?? new SimulatedDisk(this.clock, this.random);
    this.disks.set(name, disk);
    return disk;
  }

  async start(instance: 1 | 2) {
    const { clock, random, network } = this;
    const log = silentLog;
    const buffer = { ...BUFFER, ...this.#options.buffer };
    const store = await ClassStore.open({
      ...{ disk: this.disk(`${instance}`), buffer, share: 1, dictionary: DICTIONARY, tagIndexes: [0] },
      ...{ clock, random, log, bootId: 'b'.repeat(32), overloadEnded: () => {} },
    });
    const capacityBytes = this.#options.mirrorCapacityBytes ?? buffer.capacityBytes;
    const ownBytes = (): number => store.backlog.stat().ring.diskBytes;
    const mirror = await openMirror({
      ...{ stores: [store], main: { disk: this.disk(`${instance}.mirror`), capacityBytes, ownBytes } },
      ...{ alarms: null, memoryBytes: buffer.windowBytes, writesAll: buffer.store === 'always' },
      ...{ peerInstance: 3 - instance, clock, log },
    });
    const member = startMember({
      ...{ instance, own: [peerAddress(instance)], others: [peerAddress(3 - instance)] },
      ...{ mirrorSide: mirror, transport: network.host(`peer${instance}`), clock, random, log },
    });
    mirror.attach(member.link);
    const uplink = this.#uplink(instance, { store, mirror });
    const stop = new AbortController();
    const run = uplink.run(stop.signal);
    let isStopped = false;
    const halt = async (): Promise<void> => {
      if (isStopped) return;
      isStopped = true;
      stop.abort();
      await Promise.all([run, member.stop()]);
    };
    return { instance, store, mirror, uplink, member, halt };
  }

  #uplink(instance: number, { store, mirror }: { store: ClassStore; mirror: Mirror }): Uplink {
    const { clock, random, network } = this;
    return new Uplink({
      kernels: [{ host: 'kernel', port: 3119, insecure: true, localAddresses: {} }],
      server: `Server${instance}`,
      identity: { programVersion: 'test', site: 'S', process: 'KomA', instance, siteHash: 'a'.repeat(32) },
      ...{ settings: WIRED, sources: [store.source], mirror: mirror.source },
      ...{ transport: network.host(`agent${instance}`), clock, random, log: silentLog },
    });
  }

  /** Samples of one instance at a pace for a time. */
  async produce(instance: Instance, forMs: number, perStep = 20): Promise<void> {
    for (const endMs = this.clock.monotonicMs() + forMs; this.clock.monotonicMs() < endMs; ) {
      const entries = Array.from({ length: perStep }, () => {
        const value = Math.sin(++this.#made) * 1e6;
        return {
          tagIndex: 0,
          sourceTimeUs: this.clock.wallUs(),
          value,
          quality: 0,
          cause: 'change' as const,
        };
      });
      instance.store.accept(entries);
      await this.clock.advance(100);
    }
  }

  cutUplink(instance: number): void {
    this.network.cut(`agent${instance}`, 'kernel', 'reset');
  }

  healUplink(instance: number): void {
    this.network.heal(`agent${instance}`, 'kernel');
  }

  cutPeers(): void {
    this.network.cut('peer1', 'peer2', 'reset');
  }

  healPeers(): void {
    this.network.heal('peer1', 'peer2');
  }

  /** The server is gone, and with it all that was on its disk. */
  async destroy(instance: Instance): Promise<void> {
    for (const host of ['peer', 'agent']) this.network.killHost(`${host}${instance.instance}`);
    await instance.halt();
    await instance.mirror.close();
    this.disks.delete(`${instance.instance}`);
    this.disks.delete(`${instance.instance}.mirror`);
  }

  /** Lets time pass until something is so; throws after a while. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (let step = 0; !(await isSo()); step++) {
      if (step > 3000) throw new Error('it never came');
      await this.clock.advance(50);
    }
  }

  /** What the archive has of a stream as data. */
  async data(streamId: string) {
    const coverage = await this.archive.coverage(streamId);
    return coverage.filter(({ state }) => state === 'data').map(({ first, last }) => ({ first, last }));
  }
}

function peerAddress(instance: number): PeerAddress {
  const address = { host: `peer${instance}`, port: 3120 };
  return { address, listen: address, insecure: true };
}

const DICTIONARY: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: [{ name: 'P.T', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
};
