import { hash } from 'node:crypto';
import { KomError } from '../../src/domain/errors.ts';
import { Quality } from '../../src/domain/quality.ts';
import type { Reading, SampleValue } from '../../src/domain/sample.ts';
import type { Driver, Link, LinkBatch, UnseenInterval } from '../../src/drivers/driver.ts';
import type { Clock } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Life } from './life.ts';
import { Notifier } from './notifier.ts';
import type { LineOptions, StationOptions } from './options.ts';
import { Seat } from './seat.ts';

/** One value that a run of the agent took over from its driver, in the order of taking over. */
export interface Served {
  readonly tagIndex: number;
  readonly station: string;
  readonly value: SampleValue;
  readonly quality: number;
  readonly sourceTimeUs: number;
  /** The agent's wall clock and the true time when it took it over. */
  readonly wallUs: number;
  readonly trueMs: number;
  /** Number of the batch within the run. */
  readonly batch: number;
  /** In the first words of a connection, or after an interval that the driver did not see. */
  readonly isAfterPause: boolean;
  /** The run was not in charge: it may report it when it soon is, and need not. */
  isOptional: boolean;
}

/** When a station was seen alive: a good value, or a keep-alive. */
export interface Seen {
  readonly wallUs: number;
  readonly trueMs: number;
  /** Of which run it is. */
  readonly by: RunRecord;
  /** When the agent was told; else when the device noted what it told later. */
  readonly isTold: boolean;
  /** As of a reading. */
  isOptional: boolean;
}

/** The plant's record of one run of the agent. */
export class RunRecord {
  /** Whether the run is in charge of the lines now; it always is where it is alone. */
  isInCharge: () => boolean = () => true;
  /** Another run may be in charge. */
  isShared = false;
  readonly served: Served[] = [];
  batches = 0;
  /** Line losses that the driver told. */
  losses = 0;
}

/** Tags of a station, in this order. */
export const TAGS = ['count', 'level', 'running', 'note'] as const;
const HEX_PER_DIGEST = 64;
/** How often a link that stands by looks whether it is to be active. */
const STANDBY_LOOK_MS = 20;

/** One simulated device. What it says depends on the true time, its faults, and nothing of the agent. */
export class Station {
  readonly options: StationOptions;
  readonly firstTag: number;
  readonly seen: Seen[] = [];
  isUnplugged = false;
  clockOffsetUs = 0;
  hasClock = true;
  /** Each puts the present state into the queue of a client. */
  readonly notifiers = new Set<() => void>();
  #produced = 0;
  /** The text of a number, which is asked for by each client and at each scan. */
  #lastNote: { readonly n: number; readonly text: string } | null = null;

  constructor(options: StationOptions, firstTag: number) {
    this.options = options;
    this.firstTag = firstTag;
  }

  /** A polled device's process goes on by itself. */
  advanceTo(trueMs: number): void {
    this.#produced = Math.max(this.#produced, Math.floor(trueMs / this.options.periodMs));
  }

  produce(): void {
    this.#produced += 1;
  }

  values(): SampleValue[] {
    const n = this.#produced;
    return [BigInt(n), n / 4, Math.floor(n / 3) % 2 === 1, this.#note(Math.floor(n / 2))];
  }

  /** Text that does not compress, so that a ring fills. */
  #note(n: number): string {
    if (this.#lastNote?.n === n) return this.#lastNote.text;
    let note = `${n} `;
    for (let part = 0; note.length < this.options.noteBytes; part++) {
      note += hash('sha256', `${this.options.name} ${n} ${part}`, 'base64');
    }
    const text = note.slice(0, Math.max(this.options.noteBytes, HEX_PER_DIGEST / 4));
    this.#lastNote = { n, text };
    return text;
  }
}

export interface PlantSetup {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly lines: readonly LineOptions[];
  /** Devices have several clients, and produce whether or not there is one. */
  readonly isShared: boolean;
}

/** All lines of the site, and their faults. */
export class Plant {
  readonly #setup: PlantSetup;
  readonly #stations = new Map<string, Station>();
  readonly #lost = new Set<string>();
  readonly #onLost = new Map<string, Set<() => void>>();
  #isProducing = true;

  constructor(setup: PlantSetup) {
    this.#setup = setup;
    let firstTag = 0;
    for (const options of setup.lines.flatMap((line) => line.stations)) {
      this.#stations.set(options.name, new Station(options, firstTag));
      firstTag += TAGS.length;
    }
    if (setup.isShared) for (const station of this.#stations.values()) this.#runDevice(station);
  }

  #runDevice(station: Station): void {
    this.#setup.clock.repeat('device', station.options.periodMs, () => {
      if (!this.#isProducing || station.isUnplugged) return;
      station.produce();
      for (const notify of station.notifiers) notify();
    });
  }

  station(name: string): Station {
    const station = this.#stations.get(name);
    if (station === undefined) throw new Error(`no station ${name}`);
    return station;
  }

  get stations(): readonly Station[] {
    return [...this.#stations.values()];
  }

  /** Processes stand still: values go on being served, and do not change. */
  stopProducing(): void {
    this.#isProducing = false;
  }

  /** A polled device does not answer; a server tells that it lost the device. */
  unplug(name: string, isUnplugged: boolean): void {
    const station = this.station(name);
    if (station.isUnplugged === isUnplugged) return;
    station.isUnplugged = isUnplugged;
    for (const notify of station.notifiers) notify();
  }

  loseLine(name: string, isLost: boolean): void {
    if (isLost) this.#lost.add(name);
    else this.#lost.delete(name);
    if (isLost) for (const tell of this.#onLost.get(name) ?? []) tell();
  }

  /** The driver of a line for one run of the agent. */
  driver(line: LineOptions, agent: AgentWorld): Driver {
    const { life, record, clock } = agent;
    return {
      connect: async (signal, { role = 'active', failoverMs = 0 } = {}) => {
        await life.clock.sleep(5, signal);
        if (this.#lost.has(line.name)) {
          record.losses += 1;
          throw new KomError('KOM_DEVICE_UNREACHABLE', line.name);
        }
        const seat = new Seat(role, clock.wallUs());
        const way = { ...agent, line, signal, heard: new Set<string>(), seat, failoverMs };
        const link: Link = {
          setRole: async (next) => seat.change(next, clock.wallUs()),
          [Symbol.asyncIterator]: () => (line.kind === 'poll' ? this.#poll(way) : this.#subscribe(way)),
          [Symbol.asyncDispose]: async () => undefined,
        };
        return link;
      },
    };
  }

  async *#poll(way: Way): AsyncGenerator<LinkBatch> {
    const { line, life, clock, signal } = way;
    const startMs = life.clock.monotonicMs();
    const due = new Map(line.stations.map((each, at) => [each.name, startMs + at * 7.3]));
    const polled = new Map<string, { wallUs: number; monotonicMs: number }>();
    while (!signal.aborted) {
      const [name = '', dueMs = 0] = [...due].sort((a, b) => a[1] - b[1])[0] ?? [];
      if (way.seat.role === 'standby') {
        await this.#standBy(way);
        for (const { name: each } of line.stations) due.set(each, life.clock.monotonicMs());
        polled.clear();
        continue;
      }
      const waitMs = Math.max(0, dueMs - life.clock.monotonicMs());
      await this.#nap(waitMs + 1 + this.#setup.random.fraction(), way);
      if (signal.aborted) return;
      if (this.#lost.has(line.name)) throw this.#lostError(way);
      const station = this.station(name);
      const nowMs = life.clock.monotonicMs();
      due.set(name, Math.max(dueMs + station.options.scanMs, nowMs));
      if (this.#isProducing) station.advanceTo(nowMs);
      const wallUs = clock.wallUs();
      const last = polled.get(name);
      const isLate = last !== undefined && nowMs - last.monotonicMs > 2 * station.options.scanMs + 200;
      const unseen = isLate && wallUs > last.wallUs ? [lateness(last.wallUs, wallUs)] : undefined;
      polled.set(name, { wallUs, monotonicMs: nowMs });
      const seen = station.isUnplugged ? [] : [told({ wallUs, trueMs: nowMs }, way.record)];
      const readings = readingsOf(station, wallUs);
      const taken = this.#take(way, station, { readings, seen, ...(unseen && { unseen }) });
      yield taken.batch;
      taken.isDone();
    }
  }

  async *#subscribe(way: Way): AsyncGenerator<LinkBatch> {
    const { line, life, clock, signal } = way;
    const device = new Notifier({
      ...{ clock: this.#setup.clock, agent: way, readingsOf },
      isProducing: () => this.#isProducing && !this.#setup.isShared,
    });
    const stop = device.start(line.stations.map(({ name }) => this.station(name)));
    let heardMs = life.clock.monotonicMs();
    let heardUs = clock.wallUs();
    try {
      for (const { name } of line.stations) device.notify(this.station(name));
      while (!signal.aborted) {
        await this.#nap(line.publishMs + this.#setup.random.fraction(), way);
        if (signal.aborted) return;
        if (this.#lost.has(line.name)) throw this.#lostError(way);
        if (way.seat.role === 'standby') continue;
        const nowMs = life.clock.monotonicMs();
        const queuedSinceUs = way.seat.takeQueued();
        const isQueue = queuedSinceUs !== null;
        const isKeepAlive = nowMs - heardMs >= line.keepAliveMs;
        for (const { name } of line.stations) {
          const station = this.station(name);
          const { readings, overflowed, seen } = device.take(station);
          if (readings.length === 0 && !isKeepAlive && !isQueue) continue;
          const now = told({ wallUs: clock.wallUs(), trueMs: nowMs }, way.record);
          if (!station.isUnplugged) seen.push(now);
          const unchanged = { unchangedUntilUs: clock.wallUs() };
          const observedSinceUs = overflowed ? (seen[0]?.wallUs ?? now.wallUs) : queuedSinceUs;
          const queued = isQueue && observedSinceUs !== null ? { observedSinceUs } : {};
          const isUnseen = !isQueue && overflowed && clock.wallUs() > heardUs;
          const unseen = isUnseen ? [lateness(heardUs, clock.wallUs())] : undefined;
          const kept = seen.filter(({ wallUs }) => wallUs >= (queued.observedSinceUs ?? 0));
          const news = { readings, seen: kept, ...unchanged, ...queued, ...(unseen && { unseen }) };
          const taken = this.#take(way, station, news);
          yield taken.batch;
          taken.isDone();
        }
        if (isKeepAlive || isQueue) heardMs = nowMs;
        heardUs = clock.wallUs();
      }
    } finally {
      stop();
    }
  }

  /** Until the link is active, or the line is lost. */
  async #standBy(way: Way): Promise<void> {
    while (way.seat.role === 'standby' && !way.signal.aborted) {
      await this.#nap(STANDBY_LOOK_MS, way);
      if (this.#lost.has(way.line.name)) throw this.#lostError(way);
    }
  }

  /** Sleeps; ends early when the line is lost or the agent stops. */
  async #nap(ms: number, way: Way): Promise<void> {
    const told = Promise.withResolvers<void>();
    const tell = () => told.resolve();
    const tellers = this.#onLost.get(way.line.name) ?? new Set();
    this.#onLost.set(way.line.name, tellers.add(tell));
    way.signal.addEventListener('abort', tell, { once: true });
    const timer = way.life.clock.schedule('driver', ms, tell);
    await way.life.see(told.promise);
    timer.cancel();
    way.signal.removeEventListener('abort', tell);
    tellers.delete(tell);
  }

  #lostError(way: Way): KomError {
    way.record.losses += 1;
    return new KomError('KOM_DEVICE_UNREACHABLE', way.line.name);
  }

  /** The moment at which the agent has a batch: it is recorded here and nowhere else. */
  #take(way: Way, station: Station, news: News): { readonly batch: LinkBatch; readonly isDone: () => void } {
    const { record, clock } = way;
    const at = { wallUs: clock.wallUs(), trueMs: this.#setup.clock.monotonicMs() };
    const { name } = station.options;
    const { seen, ...batch } = news;
    const isPaused = !way.heard.has(name) || batch.unseen !== undefined;
    const told = new Set<number>();
    way.heard.add(name);
    record.batches += 1;
    const taken: { isOptional: boolean }[] = [...seen];
    for (const reading of batch.readings) {
      const isAfterPause = isPaused && !told.has(reading.tagIndex);
      told.add(reading.tagIndex);
      const isOptional = record.isShared;
      const one = { ...reading, ...at, station: name, batch: record.batches, isAfterPause, isOptional };
      record.served.push(one);
      taken.push(one);
    }
    for (const each of taken) each.isOptional = record.isShared;
    station.seen.push(...seen);
    // The agent asks for the next batch when it has done with this one.
    const isDone = () => {
      if (record.isInCharge()) for (const each of taken) each.isOptional = false;
    };
    return { batch: { station: name, ...batch }, isDone };
  }
}

/** A batch and what it proves to have been observed. */
interface News extends Omit<LinkBatch, 'station'> {
  readonly seen: readonly Seen[];
}

/** What a driver works in: one run of the agent. */
export interface AgentWorld {
  readonly life: Life;
  /** The agent's own, which stamps what is read. */
  readonly clock: Clock;
  readonly record: RunRecord;
}

export interface Way extends AgentWorld {
  readonly seat: Seat;
  /** So long a device is to keep changes while the link stands by. */
  readonly failoverMs: number;
  readonly line: LineOptions;
  readonly signal: AbortSignal;
  /** Stations that said something on this connection. */
  readonly heard: Set<string>;
}

function readingsOf(station: Station, timeUs: number): Reading[] {
  const isDead = station.isUnplugged;
  return station.values().map((value, at) => ({
    tagIndex: station.firstTag + at,
    sourceTimeUs: timeUs,
    value: isDead ? null : value,
    quality: isDead ? Quality.badTimeout : Quality.good,
  }));
}

function told(at: { readonly wallUs: number; readonly trueMs: number }, by: RunRecord): Seen {
  return { ...at, by, isTold: true, isOptional: false };
}

function lateness(fromUs: number, toUs: number): UnseenInterval {
  return { tagIndexes: [], fromUs, toUs, reason: 'overload' };
}
