import type { ModbusLine, ModbusStation } from '../../config/model.ts';
import { invariant } from '../../domain/errors.ts';
import { type PlannedRequest, planRequests } from './plan.ts';

/** First polls are spread over this long at most, so that a slow scan does not delay the first values. */
const STAGGER_MAX_MS = 1000;
/** Rounds of unanswered probes of every unit after which the channel itself is taken for dead. */
const SILENT_PROBES_MAX = 3;

/** One request of one unit on its grid: due at `originMs + step × scanMs`. */
export interface Slot {
  readonly station: ModbusStation;
  readonly request: PlannedRequest;
  readonly originMs: number;
  step: number;
  /** Times it went unanswered since its unit last answered anything. */
  failures: number;
}

/** What to ask next, and when. */
export interface DueSlot {
  readonly slot: Slot;
  readonly dueMs: number;
  /** The unit is degraded; this asks only whether it is back. */
  readonly isProbe: boolean;
}

interface Unit {
  readonly station: ModbusStation;
  slots: Slot[];
  degraded: boolean;
  probeDueMs: number;
  failedProbes: number;
}

/**
 * When each request of a line is due. Pure: times are given, in monotonic milliseconds.
 *
 * - A request is due on a steady grid; it never drifts. Grid points that pass unserved are skipped.
 * - Of several due requests the one that waits longest goes first, so none starves.
 * - A unit that left each of its fastest requests unanswered for `degradeAfterCycles` cycles in a row is
 *   degraded: one probe each `probeIntervalMs`, taking its requests in turn, until it answers.
 */
export class LineSchedule {
  readonly #line: ModbusLine;
  readonly #units = new Map<ModbusStation, Unit>();

  /**
   * `isUrgent`: every request is due at once, and goes on at its place in the grid, so that a takeover leaves
   * no wider hole than the line can ask for.
   */
  constructor(line: ModbusLine, startMs: number, isUrgent = false) {
    this.#line = line;
    const planned = line.stations
      .filter((station) => station.mode === 'on')
      .flatMap((station) => planRequests(station).map((request) => ({ station, request })));
    for (const [index, { station, request }] of planned.entries()) {
      const stagger = (Math.min(request.scanMs, STAGGER_MAX_MS) * index) / planned.length;
      const unit = this.#units.get(station) ?? newUnit(station);
      const originMs = startMs + stagger - (isUrgent ? request.scanMs : 0);
      unit.slots.push({ station, request, originMs, step: 0, failures: 0 });
      this.#units.set(station, unit);
    }
  }

  /** The request that is due first; `null` if the line has none at all. */
  next(): DueSlot | null {
    let first: DueSlot | null = null;
    for (const unit of this.#units.values()) {
      const candidate = unit.degraded ? probeOf(unit) : earliest(unit.slots);
      if (candidate !== null && (first === null || candidate.dueMs < first.dueMs)) first = candidate;
    }
    return first;
  }

  /** Moves a request that is now being asked to its next grid point; returns how many points it missed. */
  start(slot: Slot, nowMs: number): number {
    const next = Math.max(slot.step, Math.floor((nowMs - slot.originMs) / slot.request.scanMs)) + 1;
    const missed = next - slot.step - 1;
    slot.step = next;
    return missed;
  }

  /** How often to ask before giving up: a unit that is already in doubt is asked once. */
  triesFor(slot: Slot): number {
    const unit = this.#unitOf(slot);
    const inDoubt = unit.degraded || unit.slots.some((each) => each.failures > 0);
    return inDoubt ? 1 : 1 + this.#line.retries;
  }

  /** The unit answered, be it with an exception. Returns true if this restores it. */
  answered(slot: Slot, nowMs: number): boolean {
    const unit = this.#unitOf(slot);
    for (const each of unit.slots) each.failures = 0;
    if (!unit.degraded) return false;
    unit.degraded = false;
    unit.failedProbes = 0;
    for (const each of unit.slots) if (each !== slot) makeDue(each, nowMs);
    return true;
  }

  /** The unit did not answer. Returns true if this degrades it. */
  unanswered(slot: Slot, nowMs: number): boolean {
    const unit = this.#unitOf(slot);
    slot.failures++;
    if (unit.degraded) {
      unit.failedProbes++;
      unit.probeDueMs = nowMs + this.#line.probeIntervalMs;
      return false;
    }
    const fastestMs = Math.min(...unit.slots.map((each) => each.request.scanMs));
    const isSilent = unit.slots
      .filter((each) => each.request.scanMs === fastestMs)
      .every((each) => each.failures >= this.#line.degradeAfterCycles);
    if (!isSilent) return false;
    unit.degraded = true;
    unit.failedProbes = 0;
    unit.probeDueMs = nowMs + this.#line.probeIntervalMs;
    return true;
  }

  /** Puts two requests in the place of one, due at once and from then on on the same grid. */
  replace(slot: Slot, halves: readonly PlannedRequest[], nowMs: number): void {
    const unit = this.#unitOf(slot);
    const slots = halves.map((request): Slot => ({ ...slot, request, failures: 0 }));
    for (const each of slots) makeDue(each, nowMs);
    unit.slots = unit.slots.flatMap((each) => (each === slot ? slots : [each]));
  }

  /** True if the unit of this request is degraded. */
  isDegraded(slot: Slot): boolean {
    return this.#unitOf(slot).degraded;
  }

  /** Every unit is degraded and went on unanswering: the channel may be dead without having said so. */
  isSilent(): boolean {
    const units = [...this.#units.values()];
    return units.length > 0 && units.every((unit) => unit.degraded && unit.failedProbes >= SILENT_PROBES_MAX);
  }

  #unitOf(slot: Slot): Unit {
    const unit = this.#units.get(slot.station);
    invariant(unit !== undefined, 'a slot belongs to a unit of its line');
    return unit;
  }
}

function newUnit(station: ModbusStation): Unit {
  return { station, slots: [], degraded: false, probeDueMs: 0, failedProbes: 0 };
}

function dueMsOf(slot: Slot): number {
  return slot.originMs + slot.step * slot.request.scanMs;
}

function makeDue(slot: Slot, nowMs: number): void {
  slot.step = Math.max(0, Math.floor((nowMs - slot.originMs) / slot.request.scanMs));
}

function earliest(slots: readonly Slot[]): DueSlot | null {
  let first: DueSlot | null = null;
  for (const slot of slots) {
    const dueMs = dueMsOf(slot);
    if (first === null || dueMs < first.dueMs) first = { slot, dueMs, isProbe: false };
  }
  return first;
}

function probeOf(unit: Unit): DueSlot | null {
  const slot = unit.slots[unit.failedProbes % unit.slots.length];
  return slot === undefined ? null : { slot, dueMs: unit.probeDueMs, isProbe: true };
}
