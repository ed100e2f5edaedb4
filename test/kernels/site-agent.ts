import { ClassStore } from '../../src/agent/class-store.ts';
import { dropHeld } from '../../src/buffer/drop.ts';
import type { BufferSettings } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary, DictionaryTag } from '../../src/domain/dictionary.ts';
import { Quality } from '../../src/domain/quality.ts';
import type { Entry, SampleValue, TimeGap } from '../../src/domain/sample.ts';
import { SeenEpochs } from '../../src/uplink/epochs.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import { silentLog } from '../../src/world/log.ts';
import { SideStore } from '../../src/world/side-store.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { Life } from '../simulation/life.ts';
import { type AgentPlace, addressOf } from './world-agent.ts';

const BUFFER: BufferSettings = {
  ...{ store: 'on-outage', capacityBytes: 64_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
  ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
  ...{ aliveMarkMs: 5000, windowBytes: 400_000 },
};

/** A slow link that is asked for little: days of it have few events. */
const SLOW = {
  ...{ ...WIRED, heartbeatMs: 10_000, silenceMaxMs: 60_000, connectTimeoutMs: 20_000 },
  ...{ leaseRenewMs: 10_000, leaseMs: 60_000, liveIntervalMs: 10_000 },
};

/** Every tag changes once in so many steps. */
const TURN = 3;
const KINDS = ['float64', 'int64', 'bool', 'text'] as const;

export interface SiteAgentOptions {
  readonly host: string;
  readonly process: string;
  readonly instance: number;
  readonly tags: number;
}

/** An instance of a process that is alive, killed and started again, with many tags of every type. */
export class SiteAgent {
  readonly #options: SiteAgentOptions;
  readonly #place: AgentPlace;
  readonly #kernels: readonly string[];
  readonly #disk: SimulatedDisk;
  readonly #wall = { offsetUs: 0 };
  #life: Life | null = null;
  #step = 0;
  #starts = 0;
  #edition = 1;
  store!: ClassStore;
  uplink!: Uplink;

  constructor(options: SiteAgentOptions, place: AgentPlace, kernels: readonly string[]) {
    this.#options = options;
    this.#place = place;
    this.#kernels = kernels;
    this.#disk = new SimulatedDisk(place.clock, place.random);
  }

  get host(): string {
    return this.#options.host;
  }

  get isAlive(): boolean {
    return this.#life !== null;
  }

  /** `edition`: of its tags; another one has a tag under another name, a new one and another unit. */
  async start(edition = this.#edition): Promise<void> {
    this.#edition = edition;
    const { clock: virtual, random, network } = this.#place;
    const { host, process, instance } = this.#options;
    this.#life = new Life(virtual, this.#wall);
    const { clock } = this.#life;
    const disk = this.#life.disk(this.#disk);
    const log = silentLog;
    const dictionary = this.#dictionary(edition);
    this.store = await ClassStore.open({
      ...{ disk, buffer: BUFFER, share: 1, dictionary, clock, random, log },
      tagIndexes: dictionary.tags.map((_, index) => index),
      ...{ bootId: String(++this.#starts).padStart(32, 'b'), overloadEnded: () => {} },
    });
    const identity = { programVersion: 'test', site: 'S', process, instance, siteHash: 'a'.repeat(32) };
    this.uplink = new Uplink({
      ...{ kernels: this.#kernels.map(addressOf), server: host, identity, settings: SLOW },
      ...{ sources: [this.store.source], transport: this.#life.transport(network.host(host)) },
      epochs: await SeenEpochs.load(new SideStore(disk, 'notes'), log),
      ...{ clock, random, log },
    });
    void this.uplink.run(new AbortController().signal);
  }

  /** As by SIGKILL; what is durable stays. */
  kill(): void {
    this.#life?.kill();
    this.#life = null;
    this.#disk.killProcess();
    this.#place.network.killHost(this.host);
  }

  /** The tags whose turn it is have changed, and the store is alive. */
  change(): void {
    this.#step++;
    const { tags } = this.#dictionary(this.#edition);
    const timeUs = this.#place.clock.wallUs();
    const entries = tags.flatMap((tag, tagIndex): Entry[] => {
      if (tagIndex % TURN !== this.#step % TURN) return [];
      const value = taggedValue(tag, tagIndex, Math.floor(timeUs / 1e6));
      const isBad = (tagIndex + this.#step) % 97 === 0;
      const quality = isBad ? Quality.badCommunicationError : Quality.good;
      return [{ tagIndex, sourceTimeUs: timeUs, value: isBad ? null : value, quality, cause: 'change' }];
    });
    this.store.accept(entries);
    this.store.markAlive(null);
  }

  /** What a device kept by itself, and hands over so much later, milliseconds. */
  changeLate(lateMs: number): void {
    const fromUs = this.#place.clock.wallUs() - lateMs * 1000;
    const entries = Array.from({ length: 200 }, (_, at): Entry => {
      const sourceTimeUs = fromUs + at * 1_000_000;
      const times = { sourceTimeUs, deviceTimeUs: sourceTimeUs };
      return { tagIndex: 0, ...times, value: at / 7, quality: Quality.good, cause: 'backfill' };
    });
    this.store.accept(entries);
  }

  /** A time of the last minutes was not observed. */
  notObserved(reason: TimeGap['reason'], forMs: number): void {
    const toUs = this.#place.clock.wallUs();
    const { process } = this.#options;
    this.store.accept([{ station: process, tags: [], fromUs: toUs - forMs * 1000, toUs, reason }]);
  }

  /** What was stamped last was so by a clock that was late. */
  correctClock(offsetUs: number, numbers: number): void {
    const { streamId, producedTo } = this.store.source;
    const last = producedTo();
    const range = { firstSequence: Math.max(1, last - numbers + 1), lastSequence: last };
    this.store.acceptFixes([{ streamId, ...range, offsetUs, atUs: this.#place.clock.wallUs() }]);
  }

  async dropBacklog(): Promise<number> {
    return await dropHeld(this.store.source.backlog, this.#place.clock.wallUs());
  }

  /** Numbers of its own stream and former ones that no Kernel has acknowledged. */
  get waiting(): number {
    return this.store.source.backlog.stat().samples;
  }

  #dictionary(edition: number): Dictionary {
    const { process, tags: count } = this.#options;
    const tags = Array.from({ length: count + edition - 1 }, (_, at): DictionaryTag => {
      const isRenamed = edition > 1 && at === 3;
      const type = KINDS[at % KINDS.length] ?? 'float64';
      return {
        ...{ station: process, class: 'measurement', type, unit: edition > 1 && at === 4 ? 'kV' : 'V' },
        name: `${process}.${isRenamed ? 'renamed' : `T${at}`}`,
        formerly: isRenamed ? [`${process}.T${at}`] : [],
        // Half of them are subscribed.
        ...(at % 2 === 0 ? { scanMs: 1000 } : {}),
      };
    });
    return { site: 'S', process, tags };
  }
}

/** The same at both instances. */
function taggedValue({ type }: DictionaryTag, tagIndex: number, seconds: number): SampleValue {
  const value = Math.sin(seconds / 100 + tagIndex) * 1000;
  if (type === 'int64') return BigInt(Math.round(value)) + 2n ** 60n;
  if (type === 'bool') return Math.round(value) % 2 === 0;
  return type === 'text' ? `state ${Math.round(value)}` : value;
}
