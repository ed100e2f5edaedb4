import { isUnobserved, Quality } from './quality.ts';
import type { Entry, Reading, Sample, SampleCause, TimeGap, TimeGapReason } from './sample.ts';
import { STARTED_BY_ANOTHER_CLOCK, sameValue } from './sample.ts';
import type { TagClass } from './stream.ts';

/** What report-by-exception needs to know of a tag; the position in the list is the tag's index. */
export interface ReportedTag {
  readonly name: string;
  readonly station: string;
  readonly class: TagClass;
  /** Changes of a number not larger than this are not reported. Alarms and counters ignore it. */
  readonly deadband: number;
  readonly reportAtLeastEveryMs: number;
}

/** The two clocks at the moment of an event. */
export interface Now {
  /** Integer µs since 1970. */
  readonly wallUs: number;
  readonly monotonicMs: number;
}

/** What one station said at one moment; a driver's batch has this shape. */
export interface StationNews {
  readonly station: string;
  readonly readings: readonly Reading[];
  readonly unchangedUntilUs?: number;
  readonly unseen?: readonly {
    readonly tagIndexes: readonly number[];
    readonly fromUs: number;
    readonly toUs: number;
    readonly reason: TimeGapReason;
  }[];
}

/** Longest text that is taken, in UTF-16 units; a longer one could make a block that nobody takes. */
const TEXT_LENGTH_MAX = 262_144;

/** Names in one time gap at most; a larger group is cut into several gaps. */
const GAP_TAGS_MAX = 500;

/** Source times outside of 1970 to 2099 are a device without a clock: the time of the read is taken. */
const SOURCE_TIME_MAX_US = 4_102_444_800_000_000;

interface TagState {
  /** `null` until something was reported. */
  reported: { readonly sample: Sample; readonly atMonotonicMs: number } | null;
  /** The next observation is reported whatever it is. */
  snapshotDue: boolean;
  /** Since when nobody has seen the tag, and why; `null` while it is observed, or where it never was. */
  unobserved: Unobserved | null;
  /** Wall time of the last observation, integer µs; `null` before the first. */
  observedUs: number | null;
  /** Wall time of the first word about the tag in this run, integer µs; `null` before it. */
  firstHeardUs: number | null;
}

interface Unobserved {
  readonly sinceUs: number;
  readonly reason: TimeGapReason;
  /** The present clock told `sinceUs`; else that of the run before. */
  readonly isOwnClock: boolean;
}

/**
 * Report by exception with integrity: an unchanged value is not reported, but after everything that can
 * hide a change (a connect, a gap, a return from bad) every tag of the station is reported once past all
 * filters, and each tag repeats at its period. Time that nobody observed comes out as time gaps.
 */
export class ReportByException {
  readonly #tags: readonly ReportedTag[];
  readonly #states: TagState[];
  readonly #indexesByStation = new Map<string, number[]>();

  /**
   * `unobservedSinceUs`: the end of the last run of the same store; until its first reading each tag counts
   * as not observed since then, for the reason `agent-stopped`. `null`: there was no run before.
   */
  constructor(tags: readonly ReportedTag[], unobservedSinceUs: number | null, isOwnClock = false) {
    this.#tags = tags;
    this.#states = tags.map(() => ({
      reported: null,
      snapshotDue: true,
      unobserved:
        unobservedSinceUs === null
          ? null
          : { sinceUs: unobservedSinceUs, reason: 'agent-stopped', isOwnClock },
      observedUs: null,
      firstHeardUs: null,
    }));
    for (const [index, tag] of tags.entries()) {
      const indexes = this.#indexesByStation.get(tag.station);
      if (indexes === undefined) this.#indexesByStation.set(tag.station, [index]);
      else indexes.push(index);
    }
  }

  /** Stations by name, in the order of their first tag. */
  stations(): string[] {
    return [...this.#indexesByStation.keys()];
  }

  /** What is to be numbered of a batch: gaps first, then samples in the order of the readings. */
  report(news: StationNews, now: Now): Entry[] {
    const gaps = new GapCollector(this.#tags);
    for (const unseen of news.unseen ?? []) this.#unseen(news.station, unseen, gaps);
    for (const reading of news.readings) this.#track(reading, now, gaps);
    if (gaps.isEmpty) return this.#samples(news, now);
    this.#demandSnapshot(news.station);
    return [...gaps.gaps(this.#indexesByStation), ...this.#samples(news, now)];
  }

  /**
   * The station cannot be reached: every tag gets a bad sample, unless it has one of this quality already.
   */
  stationLost(station: string, quality: number, now: Now): Entry[] {
    const readings = (this.#indexesByStation.get(station) ?? [])
      .filter((index) => this.#states[index]?.reported?.sample.quality !== quality)
      .map((tagIndex): Reading => ({ tagIndex, sourceTimeUs: now.wallUs, value: null, quality }));
    return readings.length === 0 ? [] : this.report({ station, readings }, now);
  }

  /** A new connection: whatever was reported before, the next observation of every tag is reported. */
  stationConnected(station: string): void {
    this.#demandSnapshot(station);
  }

  /** The station is switched off by configuration: its tags go bad, and the time counts as `station-off`. */
  stationOff(station: string, now: Now): Entry[] {
    const entries = this.stationLost(station, Quality.badOutOfService, now);
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const state = this.#states[index];
      if (state?.unobserved) state.unobserved = { ...state.unobserved, reason: 'station-off' };
    }
    return entries;
  }

  /**
   * Since when tags were not observed that this run has not observed at all yet, integer µs: the earliest.
   * Not declared so far, so it must not be forgotten if this run is cut off. `null`: there is no such tag.
   */
  get stoppedSinceUs(): number | null {
    let earliestUs: number | null = null;
    for (const { unobserved } of this.#states) {
      if (unobserved?.reason !== 'agent-stopped') continue;
      earliestUs = Math.min(earliestUs ?? unobserved.sinceUs, unobserved.sinceUs);
    }
    return earliestUs;
  }

  /** Declares that time up to now; for tags that are not observed for long after a start, or never. */
  declareStopped(now: Now): TimeGap[] {
    const gaps = new GapCollector(this.#tags);
    for (const [index, state] of this.#states.entries()) {
      if (state.unobserved?.reason !== 'agent-stopped') continue;
      gaps.add(index, state.unobserved, now.wallUs);
      state.unobserved = { ...state.unobserved, sinceUs: now.wallUs, isOwnClock: true };
    }
    return gaps.gaps(this.#indexesByStation);
  }

  /** The clock was set by so much, µs: what it told before goes along. */
  clockChanged(byUs: number): void {
    for (const state of this.#states) {
      const { unobserved, reported } = state;
      if (unobserved?.isOwnClock) state.unobserved = { ...unobserved, sinceUs: unobserved.sinceUs + byUs };
      if (state.observedUs !== null) state.observedUs += byUs;
      if (state.firstHeardUs !== null) state.firstHeardUs += byUs;
      if (reported === null || reported.sample.deviceTimeUs === reported.sample.sourceTimeUs) continue;
      const sourceTimeUs = Math.max(0, reported.sample.sourceTimeUs + byUs);
      state.reported = { ...reported, sample: { ...reported.sample, sourceTimeUs } };
    }
  }

  /**
   * The end of the last run became known only now: declares the time from there to the first word about each
   * tag. What was never heard of goes on as not observed.
   */
  lastRunEnded(unobservedSinceUs: number, now: Now, isOwnClock = false): TimeGap[] {
    const since = { sinceUs: unobservedSinceUs, reason: 'agent-stopped', isOwnClock } as const;
    const gaps = new GapCollector(this.#tags);
    for (const [index, state] of this.#states.entries()) {
      gaps.add(index, since, state.firstHeardUs ?? now.wallUs);
      if (state.firstHeardUs === null) {
        state.unobserved = { sinceUs: now.wallUs, reason: 'agent-stopped', isOwnClock: true };
      }
    }
    return gaps.gaps(this.#indexesByStation);
  }

  #unseen(station: string, unseen: NonNullable<StationNews['unseen']>[number], gaps: GapCollector): void {
    const indexes =
      unseen.tagIndexes.length > 0 ? unseen.tagIndexes : (this.#indexesByStation.get(station) ?? []);
    const since = { sinceUs: unseen.fromUs, reason: unseen.reason, isOwnClock: true };
    for (const index of indexes) gaps.add(index, since, unseen.toUs);
  }

  /** Follows whether the tag is observed; a change of that, either way, declares the time until now. */
  #track(reading: Reading, now: Now, gaps: GapCollector): void {
    const state = this.#states[reading.tagIndex];
    if (state === undefined) return;
    state.firstHeardUs ??= now.wallUs;
    if (isUnobserved(reading.quality)) {
      if (state.unobserved === null) {
        const down = { reason: 'station-down', isOwnClock: true } as const;
        if (state.observedUs !== null)
          gaps.add(reading.tagIndex, { sinceUs: state.observedUs, ...down }, now.wallUs);
        state.unobserved = { sinceUs: now.wallUs, ...down };
      } else if (state.unobserved.reason === 'agent-stopped') {
        gaps.add(reading.tagIndex, state.unobserved, now.wallUs);
        state.unobserved = { sinceUs: now.wallUs, reason: 'station-down', isOwnClock: true };
      }
      return;
    }
    if (state.unobserved !== null) {
      gaps.add(reading.tagIndex, state.unobserved, now.wallUs);
      state.unobserved = null;
    }
    state.observedUs = now.wallUs;
  }

  #samples(news: StationNews, now: Now): Sample[] {
    const samples: Sample[] = [];
    for (const reading of news.readings) {
      const sample = this.#decide(reading, now);
      if (sample !== null) samples.push(sample);
    }
    if (news.unchangedUntilUs !== undefined) this.#repeatUnchanged(news.station, now, samples);
    return samples;
  }

  #decide(told: Reading, now: Now): Sample | null {
    const reading = bounded(told);
    const tag = this.#tags[reading.tagIndex];
    const state = this.#states[reading.tagIndex];
    if (tag === undefined || state === undefined) return null;
    const cause = causeOf(tag, state, reading, now);
    return cause === null
      ? null
      : this.#accept(state, stamp(reading, cause, state.reported?.sample, now), now);
  }

  /** A keep-alive says that good tags are what they were: what is due as snapshot or period is repeated. */
  #repeatUnchanged(station: string, now: Now, samples: Sample[]): void {
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const tag = this.#tags[index];
      const state = this.#states[index];
      if (tag === undefined || state === undefined || state.reported === null || state.unobserved !== null)
        continue;
      const last = state.reported.sample;
      if (isUnobserved(last.quality)) continue;
      state.observedUs = now.wallUs;
      const due =
        state.snapshotDue || now.monotonicMs - state.reported.atMonotonicMs >= tag.reportAtLeastEveryMs;
      if (!due) continue;
      const cause = state.snapshotDue ? 'snapshot' : 'periodic';
      const { tagIndex, value, quality, deviceTimeUs } = last;
      const time =
        deviceTimeUs === undefined
          ? { sourceTimeUs: now.wallUs }
          : { sourceTimeUs: deviceTimeUs, isDeviceTime: true as const };
      samples.push(this.#accept(state, stamp({ tagIndex, value, quality, ...time }, cause, last, now), now));
    }
  }

  #accept(state: TagState, sample: Sample, now: Now): Sample {
    state.reported = { sample, atMonotonicMs: now.monotonicMs };
    if (!isUnobserved(sample.quality)) state.snapshotDue = false;
    return sample;
  }

  #demandSnapshot(station: string): void {
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const state = this.#states[index];
      if (state !== undefined) state.snapshotDue = true;
    }
  }
}

function causeOf(tag: ReportedTag, state: TagState, reading: Reading, now: Now): SampleCause | null {
  const last = state.reported?.sample;
  if (last === undefined) return 'snapshot';
  if (state.snapshotDue && !isUnobserved(reading.quality)) return 'snapshot';
  if (last.quality !== reading.quality || hasChanged(tag, last, reading)) return 'change';
  const ageMs = now.monotonicMs - (state.reported?.atMonotonicMs ?? 0);
  return ageMs >= tag.reportAtLeastEveryMs ? 'periodic' : null;
}

function hasChanged(tag: ReportedTag, last: Sample, reading: Reading): boolean {
  if (sameValue(last.value, reading.value)) return false;
  if (tag.deadband === 0 || tag.class !== 'measurement') return true;
  if (typeof last.value === 'number' && typeof reading.value === 'number') {
    // Written so that NaN on either side counts as a change.
    return !(Math.abs(reading.value - last.value) <= tag.deadband);
  }
  if (typeof last.value === 'bigint' && typeof reading.value === 'bigint') {
    const difference = reading.value - last.value;
    return Number(difference < 0n ? -difference : difference) > tag.deadband;
  }
  return true;
}

/**
 * What the agent stamped stays as it is. A time of the device is noted as such; outside of 1970 to 2099 it is
 * none. A repeated value whose device time is not newer than the reported one is stored at the time of read,
 * with the device's time beside it. A change keeps the device's time, unless such a repeat was stored behind
 * that time already: then it is stored like one, so that the value which it replaced does not come after it.
 */
function stamp(reading: Reading, cause: SampleCause, last: Sample | undefined, now: Now): Sample {
  const { tagIndex, value, quality, sourceTimeUs } = reading;
  const inRange =
    Number.isSafeInteger(sourceTimeUs) && sourceTimeUs >= 0 && sourceTimeUs <= SOURCE_TIME_MAX_US;
  if (!inRange) return { tagIndex, sourceTimeUs: now.wallUs, value, quality, cause };
  if (reading.isDeviceTime !== true) return { tagIndex, sourceTimeUs, value, quality, cause };
  const notNewer = last !== undefined && sourceTimeUs <= last.sourceTimeUs;
  const wasRepeated = last?.deviceTimeUs !== undefined && last.deviceTimeUs !== last.sourceTimeUs;
  const isOvertaken = wasRepeated && sourceTimeUs > (last.deviceTimeUs ?? 0);
  if (!notNewer || (cause === 'change' && !isOvertaken))
    return { tagIndex, sourceTimeUs, value, quality, cause, deviceTimeUs: sourceTimeUs };
  return { tagIndex, sourceTimeUs: now.wallUs, value, quality, cause, deviceTimeUs: sourceTimeUs };
}

/** The tag is seen, but its text is more than can be carried: told by the quality, without a value. */
function bounded(reading: Reading): Reading {
  const { value } = reading;
  if (typeof value !== 'string' || value.length <= TEXT_LENGTH_MAX) return reading;
  return { ...reading, value: null, quality: Quality.badEncodingLimitsExceeded };
}

/** Groups the gaps of single tags into few records: same station, interval and reason. */
class GapCollector {
  readonly #tags: readonly ReportedTag[];
  readonly #groups = new Map<string, { gap: Omit<TimeGap, 'tags'>; indexes: number[] }>();

  constructor(tags: readonly ReportedTag[]) {
    this.#tags = tags;
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  add(tagIndex: number, { sinceUs: fromUs, reason, isOwnClock }: Unobserved, toUs: number): void {
    const tag = this.#tags[tagIndex];
    if (tag === undefined || toUs <= fromUs) return;
    const key = `${tag.station}\n${fromUs}\n${toUs}\n${reason}\n${isOwnClock}`;
    const group = this.#groups.get(key);
    if (group === undefined) {
      const clock = isOwnClock && STARTED_BY_ANOTHER_CLOCK.has(reason) ? { isOneClock: true as const } : {};
      const gap = { station: tag.station, fromUs, toUs, reason, ...clock };
      this.#groups.set(key, { gap, indexes: [tagIndex] });
    } else group.indexes.push(tagIndex);
  }

  gaps(indexesByStation: ReadonlyMap<string, readonly number[]>): TimeGap[] {
    return [...this.#groups.values()].flatMap(({ gap, indexes }) => {
      const isWholeStation = new Set(indexes).size === indexesByStation.get(gap.station ?? '')?.length;
      if (isWholeStation) return [{ ...gap, tags: [] }];
      const names = indexes.map((index) => this.#tags[index]?.name ?? '');
      const gaps: TimeGap[] = [];
      for (let at = 0; at < names.length; at += GAP_TAGS_MAX) {
        gaps.push({ ...gap, tags: names.slice(at, at + GAP_TAGS_MAX) });
      }
      return gaps;
    });
  }
}
