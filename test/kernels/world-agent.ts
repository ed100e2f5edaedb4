import { ClassStore } from '../../src/agent/class-store.ts';
import type { BufferSettings, KernelAddress } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { SeenEpochs } from '../../src/uplink/epochs.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import type { Archive } from '../../src/world/archive.ts';
import { type Log, silentLog } from '../../src/world/log.ts';
import { SideStore } from '../../src/world/side-store.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import type { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';

const BUFFER: BufferSettings = {
  ...{ store: 'always', capacityBytes: 8_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
  ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
  ...{ aliveMarkMs: 5000, windowBytes: 400_000 },
};

const DICTIONARY: Dictionary = {
  site: 'S',
  process: 'P',
  tags: [{ name: 'P.T', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
};

/** Where it is dialled. */
export const AGENT = { host: 'agent', port: 3119 };

/** A host of a Kernel. */
export function addressOf(host: string): KernelAddress {
  return { host, port: 3119, insecure: true, localAddresses: {} };
}

export interface AgentWays {
  /** It waits for the hot Kernel to dial, and how long it takes for silence. */
  readonly isDialled?: boolean | undefined;
  readonly silenceMaxMs?: number | undefined;
}

export interface AgentPlace {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly network: SimulatedNetwork;
  readonly logOf?: (who: string) => Log;
}

/** An agent on the host `agent`, with one stream of values that are all different. */
export class WorldAgent {
  readonly store: ClassStore;
  readonly uplink: Uplink;
  readonly #clock: SimulatedClock;
  #made = 0;

  private constructor(store: ClassStore, uplink: Uplink, clock: SimulatedClock) {
    this.store = store;
    this.uplink = uplink;
    this.#clock = clock;
  }

  /** `kernels`: hosts, all on port 3119. */
  static async start(
    kernels: readonly string[],
    place: AgentPlace,
    { isDialled, silenceMaxMs = WIRED.silenceMaxMs }: AgentWays = {},
  ): Promise<WorldAgent> {
    const { clock, random, network } = place;
    const disk = new SimulatedDisk(clock, random);
    const log = place.logOf?.('agent') ?? silentLog;
    const store = await ClassStore.open({
      ...{ disk, buffer: BUFFER, share: 1, dictionary: DICTIONARY, tagIndexes: [0], clock, random, log },
      ...{ bootId: 'b'.repeat(32), overloadEnded: () => {} },
    });
    const listen = { address: AGENT, serverAddresses: {}, allowFrom: [], insecure: true };
    const settings = { ...WIRED, silenceMaxMs, ...(isDialled === true ? { listen } : {}) };
    const uplink = new Uplink({
      kernels: kernels.map(addressOf),
      server: 'Server1',
      identity: { programVersion: 'test', site: 'S', process: 'P', instance: 1, siteHash: 'a'.repeat(32) },
      ...{ settings, sources: [store.source], transport: network.host('agent') },
      epochs: await SeenEpochs.load(new SideStore(disk, 'notes'), log),
      ...{ clock, random, log },
    });
    void uplink.run(new AbortController().signal);
    return new WorldAgent(store, uplink, clock);
  }

  /** Samples at a pace for a time. */
  async produce(forMs: number, perStep = 5): Promise<void> {
    for (const endMs = this.#clock.monotonicMs() + forMs; this.#clock.monotonicMs() < endMs; ) {
      this.produceNow(perStep);
      await this.#clock.advance(100);
    }
  }

  /** Samples at this moment. */
  produceNow(count: number): void {
    const entries = Array.from({ length: count }, () => ({
      ...{
        tagIndex: 0,
        sourceTimeUs: this.#clock.wallUs(),
        value: Math.sin(++this.#made) * 1e6,
        quality: 0,
      },
      cause: 'change' as const,
    }));
    this.store.accept(entries);
  }

  get streamId(): string {
    return this.store.source.streamId;
  }

  /** Up to where its stream is acknowledged. */
  get ackedThrough(): number {
    return this.store.ring.streams().find(({ info }) => info.streamId === this.streamId)?.ackedThrough ?? 0;
  }

  /** Everything that was numbered is in this archive, as data, each row once. */
  async isWhollyIn(archive: Archive): Promise<boolean> {
    const last = this.store.source.producedTo();
    const [only, another] = await archive.coverage(this.streamId);
    const isAll = another === undefined && only?.first === 1 && only.state === 'data' && only.last === last;
    if (!isAll) return false;
    const query = { site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1_000_000 };
    const rows = await archive.samples(query);
    if (rows.length !== this.#made) throw new Error(`${rows.length} rows of ${this.#made}`);
    return new Set(rows.map(({ value }) => value)).size === this.#made;
  }
}
