import type { ModbusTable } from '../../config/model.ts';
import { isBitTable } from './plan.ts';

/** One read of one unit. */
export interface ReadRequest {
  readonly unit: number;
  readonly table: ModbusTable;
  readonly address: number;
  readonly count: number;
}

interface Doubt {
  /** Kinds of answers that may still come: function and length, all that an RTU answer is known by. */
  readonly kinds: Set<string>;
  untilMs: number;
}

/**
 * Late answers on RTU channels. An RTU answer carries no number: the answer to a request that timed out looks
 * like the answer to the next request of the same unit, function and length. So after a time-out a unit is in
 * doubt: what it is asked next is a marker, a read whose answer has a length that no outstanding answer has.
 * A unit answers in order, so the marker's answer proves that nothing older is on its way. Pure: times are
 * given, in monotonic milliseconds.
 */
export class LateAnswers {
  readonly #doubts = new Map<number, Doubt>();
  readonly #durationMs: number;

  /** @param durationMs an answer that is late by more than this is taken for lost; bounds every doubt */
  constructor(durationMs: number) {
    this.#durationMs = durationMs;
  }

  /** A request went unanswered. */
  unanswered(request: ReadRequest, nowMs: number): void {
    const doubt = this.#doubts.get(request.unit) ?? { kinds: new Set(), untilMs: 0 };
    doubt.kinds.add(kindOf(request));
    doubt.untilMs = nowMs + this.#durationMs;
    this.#doubts.set(request.unit, doubt);
  }

  /** The marker was answered. */
  resolved(unit: number): void {
    this.#doubts.delete(unit);
  }

  /** What to ask before `request` may be asked; `null` if nothing can be mistaken for its answer. */
  markerFor(request: ReadRequest, nowMs: number): ReadRequest | null {
    const doubt = this.#doubts.get(request.unit);
    if (doubt === undefined) return null;
    if (nowMs >= doubt.untilMs) {
      this.#doubts.delete(request.unit);
      return null;
    }
    return candidates(request).find((each) => !doubt.kinds.has(kindOf(each))) ?? null;
  }
}

function kindOf(request: ReadRequest): string {
  return `${request.table}/${dataBytes(request)}`;
}

/** Data bytes of the answer to a request. */
export function dataBytes(request: Pick<ReadRequest, 'table' | 'count'>): number {
  return isBitTable(request.table) ? Math.ceil(request.count / 8) : 2 * request.count;
}

/**
 * Reads of the same place in other lengths; the shorter ones first, which a unit that knew the request
 * allows.
 */
function candidates(request: ReadRequest): ReadRequest[] {
  const isBits = isBitTable(request.table);
  const step = isBits ? 8 : 1;
  const countMax = isBits ? 2000 : 125;
  const shorter: ReadRequest[] = [];
  const longer: ReadRequest[] = [];
  for (let count = request.count - step; count >= 1; count -= step) shorter.push({ ...request, count });
  for (let count = request.count + step; count <= countMax; count += step) longer.push({ ...request, count });
  return [...shorter, ...longer];
}
