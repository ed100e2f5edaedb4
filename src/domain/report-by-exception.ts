import { invariant } from './errors.ts';
import { GapCollector, type Unobserved } from './gap-collector.ts';
import { isUnobserved, Quality } from './quality.ts';
import type { Entry, Reading, Sample, SampleCause, TimeGap, TimeGapReason } from './sample.ts';
import { moveTimeGap, sameValue } from './sample.ts';
import { bounded, stamp } from './stamping.ts';
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
  readonly observedSinceUs?: number;
  readonly unseen?: readonly {
    readonly tagIndexes: readonly number[];
    readonly fromUs: number;
    readonly toUs: number;
    readonly reason: TimeGapReason;
  }[];
}

interface SeenNow extends Now {
  /** Since when what is told was observed; earlier than now where a queue was filled meanwhile. */
  readonly seenSinceUs: number;
}

interface TagState {
  /** `null` until something was reported. */
  reported: { readonly sample: Sample; readonly atMonotonicMs: number } | null;
  /** The next observation is reported whatever it is. */
  snapshotDue: boolean;
  /** Another instance may have reported meanwhile: the next word is reported, even that nobody sees it. */
  isTakenOver: boolean;
  /** What was reported at the takeover bore an older time of the device: it is repeated as of the present. */
  repeatDue: boolean;
  /** Since when nobody has seen the tag, and why; `null` while it is observed, or where it never was. */
  unobserved: Unobserved | null;
  /** Wall time of the last observation, integer µs; `null` before the first. */
  observedUs: number | null;
  /** Wall time of the first word about the tag in this run, integer µs; `null` before it. */
  firstHeardUs: number | null;
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
  /** Wall time since which another instance may report, integer µs; `null`: this one does. */
  #standbySinceUs: number | null = null;
  /** What became known while standing by, and is to be declared after it. */
  #owed: readonly TimeGap[] = [];

  /**
   * `unobservedSinceUs`: the end of the last run of the same store; until its first reading each tag counts
   * as not observed since then, for the reason `agent-stopped`. `null`: there was no run before.
   */
  constructor(tags: readonly ReportedTag[], unobservedSinceUs: number | null, isOwnClock = false) {
    this.#tags = tags;
    this.#states = tags.map(() => ({
      reported: null,
      snapshotDue: true,
      isTakenOver: false,
      repeatDue: false,
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
    invariant(this.#standbySinceUs === null, 'an instance that stands by reports nothing');
    const gaps = new GapCollector(this.#tags);
    const seenSinceUs = Math.min(news.observedSinceUs ?? now.wallUs, now.wallUs);
    for (const unseen of news.unseen ?? []) this.#unseen(news.station, unseen, gaps);
    for (const reading of news.readings) this.#track(reading, { ...now, seenSinceUs }, gaps);
    if (news.observedSinceUs !== undefined && news.unchangedUntilUs !== undefined)
      this.#trackUntold(news.station, { ...now, seenSinceUs }, gaps);
    if (gaps.isEmpty) return this.#samples(news, now);
    this.#demandSnapshot(news.station);
    return [...gaps.gaps(this.#indexesByStation), ...this.#samples(news, now)];
  }

  /**
   * The station cannot be reached: every tag gets a bad sample, unless it has one of this quality already.
   */
  stationLost(station: string, quality: number, now: Now): Entry[] {
    const readings = (this.#indexesByStation.get(station) ?? [])
      .filter((index) => {
        const state = this.#states[index];
        return state?.isTakenOver === true || state?.reported?.sample.quality !== quality;
      })
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
   * From now on another instance reports, until `activate`: each tag counts as not observed by this one since
   * it last was, for the reason `takeover`, or `agent-stopped` where it was that before. Returns what is to
   * be numbered before: the losses of stations that go on now.
   */
  standBy(now: Now): TimeGap[] {
    if (this.#standbySinceUs !== null) return [];
    this.#standbySinceUs = now.wallUs;
    const gaps = new GapCollector(this.#tags);
    for (const [index, state] of this.#states.entries()) {
      const { unobserved, observedUs } = state;
      const sinceUs = unobserved === null ? (observedUs ?? now.wallUs) : now.wallUs;
      if (unobserved?.reason === 'station-down') gaps.add(index, unobserved, now.wallUs);
      if (unobserved === null || unobserved.reason === 'station-down') {
        state.unobserved = { sinceUs, reason: 'takeover', isOwnClock: true };
      }
      state.snapshotDue = true;
      state.isTakenOver = true;
    }
    return gaps.gaps(this.#indexesByStation);
  }

  get standsBy(): boolean {
    return this.#standbySinceUs !== null;
  }

  /** This instance reports from now on. Returns what is to be numbered first. */
  activate(): TimeGap[] {
    this.#standbySinceUs = null;
    const owed = [...this.#owed];
    this.#owed = [];
    return owed;
  }

  /**
   * Until when this instance observed its tags, integer µs: while it stands by, and after that until each tag
   * was heard of, or the time until then was declared. `null`: until now.
   */
  get observedUntilUs(): number | null {
    let earliestUs = this.#standbySinceUs;
    for (const { isTakenOver, unobserved } of this.#states) {
      if (!isTakenOver || !isStop(unobserved)) continue;
      earliestUs = Math.min(earliestUs ?? unobserved.sinceUs, unobserved.sinceUs);
    }
    return earliestUs;
  }

  /**
   * Since when tags were not observed that this run has not observed at all yet, or not since it stood by,
   * integer µs: the earliest. Not declared so far, so it must not be forgotten if this run is cut off.
   * `null`: there is no such tag.
   */
  get stoppedSinceUs(): number | null {
    let earliestUs: number | null = null;
    for (const { unobserved } of this.#states) {
      if (!isStop(unobserved)) continue;
      earliestUs = Math.min(earliestUs ?? unobserved.sinceUs, unobserved.sinceUs);
    }
    for (const { fromUs } of this.#owed) earliestUs = Math.min(earliestUs ?? fromUs, fromUs);
    return earliestUs;
  }

  /**
   * Declares that time up to now; for tags that are not observed for long after a start or a takeover, or
   * never. While standing by there is nothing to declare.
   */
  declareStopped(now: Now): TimeGap[] {
    if (this.#standbySinceUs !== null) return [];
    const gaps = new GapCollector(this.#tags);
    for (const [index, state] of this.#states.entries()) {
      if (!isStop(state.unobserved)) continue;
      gaps.add(index, state.unobserved, now.wallUs);
      state.unobserved = { ...state.unobserved, sinceUs: now.wallUs, isOwnClock: true };
    }
    return gaps.gaps(this.#indexesByStation);
  }

  /** The clock was set by so much, µs: what it told before goes along. */
  clockChanged(byUs: number): void {
    if (this.#standbySinceUs !== null) this.#standbySinceUs += byUs;
    this.#owed = this.#owed.map((gap) => moveTimeGap(gap, byUs));
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
   * tag. What was never heard of goes on as not observed. While standing by it is declared later.
   */
  lastRunEnded(unobservedSinceUs: number, now: Now, isOwnClock = false): TimeGap[] {
    const since = { sinceUs: unobservedSinceUs, reason: 'agent-stopped', isOwnClock } as const;
    const gaps = new GapCollector(this.#tags);
    const standsBy = this.#standbySinceUs !== null;
    for (const [index, state] of this.#states.entries()) {
      const { firstHeardUs } = state;
      if (firstHeardUs === null && standsBy) state.unobserved = since;
      else gaps.add(index, since, firstHeardUs ?? now.wallUs);
      if (firstHeardUs === null && !standsBy) {
        state.unobserved = { sinceUs: now.wallUs, reason: 'agent-stopped', isOwnClock: true };
      }
    }
    const declared = gaps.gaps(this.#indexesByStation);
    if (!standsBy) return declared;
    this.#owed = [...this.#owed, ...declared];
    return [];
  }

  #unseen(station: string, unseen: NonNullable<StationNews['unseen']>[number], gaps: GapCollector): void {
    const indexes =
      unseen.tagIndexes.length > 0 ? unseen.tagIndexes : (this.#indexesByStation.get(station) ?? []);
    const since = { sinceUs: unseen.fromUs, reason: unseen.reason, isOwnClock: true };
    for (const index of indexes) gaps.add(index, since, unseen.toUs);
  }

  /** Follows whether the tag is observed; a change of that, either way, declares the time until now. */
  #track(reading: Reading, now: SeenNow, gaps: GapCollector): void {
    const state = this.#states[reading.tagIndex];
    if (state === undefined) return;
    state.firstHeardUs ??= now.wallUs;
    if (isUnobserved(reading.quality)) {
      if (state.unobserved === null) {
        const down = { reason: 'station-down', isOwnClock: true } as const;
        if (state.observedUs !== null)
          gaps.add(reading.tagIndex, { sinceUs: state.observedUs, ...down }, now.wallUs);
        state.unobserved = { sinceUs: now.wallUs, ...down };
      } else if (isStop(state.unobserved)) {
        gaps.add(reading.tagIndex, state.unobserved, now.wallUs);
        state.unobserved = { sinceUs: now.wallUs, reason: 'station-down', isOwnClock: true };
      }
      return;
    }
    if (state.unobserved !== null) {
      gaps.add(reading.tagIndex, state.unobserved, now.seenSinceUs);
      state.unobserved = null;
    }
    state.observedUs = now.wallUs;
  }

  /**
   * A queue that was filled while standing by is told to its end: the tags of which it held nothing are what
   * they were when this instance reported them last.
   */
  #trackUntold(station: string, now: SeenNow, gaps: GapCollector): void {
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const state = this.#states[index];
      if (state?.unobserved?.reason !== 'takeover' || state.reported === null) continue;
      if (isUnobserved(state.reported.sample.quality)) continue;
      gaps.add(index, state.unobserved, now.seenSinceUs);
      state.unobserved = null;
      state.isTakenOver = false;
      state.observedUs = now.wallUs;
    }
  }

  #samples(news: StationNews, now: Now): Sample[] {
    // What was queued meanwhile held since then, where its own time is older.
    const readUs = Math.min(news.observedSinceUs ?? now.wallUs, now.wallUs);
    const samples = news.readings.flatMap((reading) => this.#decide(reading, now, readUs) ?? []);
    const { unchangedUntilUs: confirmedUs } = news;
    if (confirmedUs !== undefined) this.#repeatUnchanged(news.station, { ...now, confirmedUs }, samples);
    return samples;
  }

  #decide(told: Reading, now: Now, readUs: number): Sample | null {
    const reading = bounded(told);
    const tag = this.#tags[reading.tagIndex];
    const state = this.#states[reading.tagIndex];
    if (tag === undefined || state === undefined) return null;
    const cause = causeOf(tag, state, reading, now);
    if (cause === null) return null;
    return this.#accept(state, stamp(reading, { cause, last: state.reported?.sample, readUs }), now);
  }

  /** A keep-alive says that good tags are what they were: what is due as snapshot or period is repeated. */
  #repeatUnchanged(station: string, now: Now & { confirmedUs: number }, samples: Sample[]): void {
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const tag = this.#tags[index];
      const state = this.#states[index];
      if (tag === undefined || state === undefined || state.reported === null || state.unobserved !== null)
        continue;
      const last = state.reported.sample;
      if (isUnobserved(last.quality)) continue;
      state.observedUs = now.wallUs;
      const isSnapshot = state.snapshotDue || state.repeatDue;
      if (!isSnapshot && now.monotonicMs - state.reported.atMonotonicMs < tag.reportAtLeastEveryMs) continue;
      state.repeatDue = false;
      const cause = isSnapshot ? 'snapshot' : 'periodic';
      const { tagIndex, value, quality, deviceTimeUs } = last;
      const time =
        deviceTimeUs === undefined
          ? { sourceTimeUs: now.wallUs }
          : { sourceTimeUs: deviceTimeUs, isDeviceTime: true as const };
      // Not later than it is known to hold: what was sampled since, and comes yet, is behind it then.
      const isDated = deviceTimeUs !== undefined && now.confirmedUs > last.sourceTimeUs;
      const readUs = isDated ? Math.min(now.confirmedUs, now.wallUs) : now.wallUs;
      const repeated = stamp({ tagIndex, value, quality, ...time }, { cause, last, readUs });
      samples.push(this.#accept(state, repeated, now));
    }
  }

  #accept(state: TagState, sample: Sample, now: Now): Sample {
    state.reported = { sample, atMonotonicMs: now.monotonicMs };
    if (!isUnobserved(sample.quality)) state.snapshotDue = false;
    // Behind its time another instance may have told otherwise, of a quality for example.
    if (state.isTakenOver) state.repeatDue = sample.deviceTimeUs !== undefined;
    state.isTakenOver = false;
    return sample;
  }

  #demandSnapshot(station: string): void {
    for (const index of this.#indexesByStation.get(station) ?? []) {
      const state = this.#states[index];
      if (state !== undefined) state.snapshotDue = true;
    }
  }
}

/** Not observed because this instance did not run, or another one was active. */
function isStop(unobserved: Unobserved | null): unobserved is Unobserved {
  return unobserved?.reason === 'agent-stopped' || unobserved?.reason === 'takeover';
}

function causeOf(tag: ReportedTag, state: TagState, reading: Reading, now: Now): SampleCause | null {
  const last = state.reported?.sample;
  if (last === undefined) return 'snapshot';
  if (state.isTakenOver || (state.snapshotDue && !isUnobserved(reading.quality))) return 'snapshot';
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
