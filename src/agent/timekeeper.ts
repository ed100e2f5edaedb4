import type { Ring, StreamClock } from '../buffer/ring.ts';
import { CLOCK_STEP_US, type ClockChange } from '../domain/clock-discipline.ts';
import {
  type ClockReference,
  firstEra,
  fixesOf,
  type StampedEra,
  type StampedStream,
  withChange,
  withOffset,
} from '../domain/clock-fix.ts';
import type { Now, ReportByException, StationNews } from '../domain/report-by-exception.ts';
import type { TimeGap } from '../domain/sample.ts';
import { formatDuration } from '../domain/units.ts';
import type { Log } from '../world/log.ts';
import { type AgentClock, CLOCK_ALARM_US } from './agent-clock.ts';
import type { ClassStore } from './class-store.ts';

export interface TimekeeperOptions {
  readonly clock: AgentClock;
  readonly bootId: string;
  readonly stores: readonly ClassStore[];
  readonly report: ReportByException;
  readonly accept: (gaps: readonly TimeGap[]) => void;
  readonly log: Log;
}

/** What is remembered of the times of a store. */
interface Kept {
  eras: readonly StampedEra[];
  /** Streams of runs before this one in the same boot. */
  earlier: readonly StampedStream[];
}

/** When the last run was alive by its own clock, integer µs, and how far the Kernel was ahead of that. */
interface LastRun {
  readonly untilUs: number;
  readonly kernelAheadUs: number | null;
}

/**
 * Keeps the agent's time: follows the clocks, takes what is remembered along when the time is set, and tells
 * the Kernel by how much earlier times were off once that is known.
 */
export class Timekeeper {
  readonly #options: TimekeeperOptions;
  readonly #kept: ReadonlyMap<ClassStore, Kept>;
  /** The run before this one in another boot, whose clock may have been off; `null`: none, or settled. */
  #lastRun: LastRun | null;
  #isAlarmed = false;

  constructor(options: TimekeeperOptions) {
    this.#options = options;
    const { clock, stores, bootId } = options;
    this.#kept = new Map(
      stores.map((store) => [store, { eras: firstEra(clock.era), earlier: earlierOf(store.ring, bootId) }]),
    );
    this.#lastRun = stores.map(({ ring }) => lastRunOf(ring, bootId)).find((each) => each !== null) ?? null;
    if (!clock.isCertain) this.#logState('the time is uncertain');
  }

  /** Looks at the clocks, at least once a second; returns by how much the time was set, µs. */
  beat(now: () => Now): number {
    const { clock } = this.#options;
    const change = clock.follow();
    if (change === null) {
      for (const kept of this.#kept.values()) kept.eras = withOffset(kept.eras, clock.era.offsetUs);
    } else this.#changed(change, now);
    this.tellFixes();
    this.#watchOffset();
    return change?.byUs ?? 0;
  }

  /** A store that opened late tells of the run before only now: the time never starts before that. */
  begin(store: ClassStore, now: () => Now): number {
    const { clock, bootId } = this.#options;
    const last = lastClockOf(store.ring);
    if (last === null) return 0;
    const kept = this.#kept.get(store);
    if (kept !== undefined) kept.earlier = earlierOf(store.ring, bootId);
    this.#lastRun ??= lastRunOf(store.ring, bootId);
    if (last.clock === null) return 0;
    const change = clock.begin(last.aliveUntilUs, last.clock.saved);
    if (change !== null) this.#changed(change, now);
    return change?.byUs ?? 0;
  }

  /** What the alive mark keeps of a store's clock. */
  streamClock(store: ClassStore): StreamClock {
    const eras = this.#kept.get(store)?.eras ?? [];
    return { saved: this.#options.clock.saved, eras, through: store.producedTo };
  }

  /** Numbers what is known of times that were off, and was not told. */
  tellFixes(): void {
    const { reference } = this.#options.clock;
    if (reference === null) return;
    for (const [store, kept] of this.#kept) if (store.hasRoom) this.#tell(store, kept, reference);
  }

  /** A batch that was stamped a moment ago, before or after the last change, in the present time. */
  presentOf<News extends StationNews>(news: News): News {
    const { clock } = this.#options;
    if (!clock.hasChangedLately) return news;
    const { unchangedUntilUs, unseen } = news;
    return {
      ...news,
      readings: news.readings.map((reading) =>
        reading.isDeviceTime === true
          ? reading
          : { ...reading, sourceTimeUs: clock.presentOf(reading.sourceTimeUs) },
      ),
      ...(unchangedUntilUs === undefined ? {} : { unchangedUntilUs: clock.presentOf(unchangedUntilUs) }),
      ...(unseen === undefined ? {} : { unseen: unseen.map((each) => this.#presentSpan(each)) }),
    };
  }

  #presentSpan<Span extends { readonly fromUs: number; readonly toUs: number }>(span: Span): Span {
    const { clock } = this.#options;
    const toUs = clock.presentOf(span.toUs);
    // Where a device told the start, the change of our time does not concern it.
    const movedUs = clock.presentOf(span.fromUs);
    const fromUs = movedUs < toUs ? movedUs : Math.min(span.fromUs, toUs);
    return { ...span, fromUs, toUs };
  }

  #changed(change: ClockChange, now: () => Now): void {
    const { report } = this.#options;
    for (const [store, kept] of this.#kept) {
      store.clockChanged(change.byUs, !change.after.isCertain);
      kept.eras = withChange(kept.eras, change, store.producedTo + 1);
    }
    report.clockChanged(change.byUs);
    this.#logState('the time was set', change.byUs);
    if (change.after.isCertain && !change.before.isCertain) this.#declarePause(change, now);
  }

  /**
   * The time from the last run to this one was declared by two clocks that did not agree. Where this one was
   * ahead, or a Kernel had told by how much the other one was off, it is declared anew, now that the time is
   * known.
   */
  #declarePause({ byUs }: ClockChange, now: () => Now): void {
    const last = this.#lastRun;
    this.#lastRun = null;
    if (last === null) return;
    const { kernelAheadUs, untilUs } = last;
    const isLastRight = Math.abs(kernelAheadUs ?? 0) <= CLOCK_STEP_US;
    if (isLastRight && byUs >= 0) return;
    this.#options.accept(this.#options.report.lastRunEnded(untilUs + (kernelAheadUs ?? 0), now()));
  }

  #tell(store: ClassStore, kept: Kept, reference: ClockReference): void {
    const { clock, log } = this.#options;
    const atUs = clock.wallUs();
    const open = kept.eras.at(-1);
    const through = (open?.firstSequence ?? 1) - 1;
    const closed = { streamId: store.ring.stream.streamId, eras: kept.eras.slice(0, -1), through };
    const own = fixesOf(closed, reference, atUs);
    const former = kept.earlier.map((stream) => ({ stream, ...fixesOf(stream, reference, atUs) }));
    const fixes = [...former.flatMap((each) => each.fixes), ...own.fixes];
    kept.eras = open === undefined ? own.eras : [...own.eras, open];
    kept.earlier = former.map(({ stream, eras }) => ({ ...stream, eras }));
    if (fixes.length === 0) return;
    for (const fix of fixes) log.warn({ ...fix }, 'the times of a range were off');
    store.acceptFixes(fixes);
  }

  #watchOffset(): void {
    const { log, clock } = this.#options;
    const { kernelAheadUs, kernelUncertaintyUs } = clock.status;
    const offUs = kernelAheadUs === null ? 0 : Math.abs(kernelAheadUs) - (kernelUncertaintyUs ?? 0);
    const isOff = offUs > CLOCK_ALARM_US;
    if (isOff === this.#isAlarmed) return;
    this.#isAlarmed = isOff;
    if (isOff) log.warn({ kernelAheadUs }, 'the clock of the Kernel and the time that is stamped differ');
    else log.info({ kernelAheadUs }, 'the clock of the Kernel and the time that is stamped agree');
  }

  #logState(text: string, byUs = 0): void {
    const { source, state } = this.#options.clock.status;
    const by = `${byUs < 0 ? '-' : ''}${formatDuration(Math.abs(byUs) / 1000)}`;
    this.#options.log.warn({ source, state, by }, text);
  }
}

/** Since when nobody observed before this run, in the present time where the boot is the same. */
export function pauseSince(
  ring: Ring,
  { clock, bootId }: { readonly clock: AgentClock; readonly bootId: string },
): { readonly untilUs: number; readonly isOwnClock: boolean } | null {
  const last = lastClockOf(ring);
  if (last === null) return null;
  const saved = last.clock?.saved;
  if (saved === undefined || saved.bootId !== bootId)
    return { untilUs: last.aliveUntilUs, isOwnClock: false };
  const movedUs = Math.round(clock.era.offsetUs - saved.offsetUs);
  return { untilUs: last.aliveUntilUs + movedUs, isOwnClock: true };
}

function lastClockOf(
  ring: Ring,
): { readonly aliveUntilUs: number; readonly clock: StreamClock | null } | null {
  const { previous } = ring.stream;
  if (previous === null) return null;
  const record = ring.streams().find(({ info }) => info.streamId === previous.streamId);
  return { aliveUntilUs: previous.aliveUntilUs, clock: record?.clock ?? null };
}

function lastRunOf(ring: Ring, bootId: string): LastRun | null {
  const last = lastClockOf(ring);
  if (last === null || last.clock?.saved.bootId === bootId) return null;
  return { untilUs: last.aliveUntilUs, kernelAheadUs: last.clock?.saved.kernelAheadUs ?? null };
}

function earlierOf(ring: Ring, bootId: string): StampedStream[] {
  return ring.streams().flatMap(({ info, clock }) => {
    if (clock === undefined || info.bootId !== bootId || info.streamId === ring.stream.streamId) return [];
    return [{ streamId: info.streamId, eras: clock.eras, through: clock.through }];
  });
}
