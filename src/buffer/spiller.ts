import type { Block } from '../domain/block/block.ts';
import { isKomError } from '../domain/errors.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { RecurringFailure } from '../world/recurring-log.ts';
import type { Ring } from './ring.ts';
import { SlowestOfHour } from './slowest.ts';
import type { Window } from './window.ts';

/** Bytes in one append to the ring. */
const APPEND_BYTES_MAX = 2 * 1024 * 1024;
/** A timer may go off a little early; a block is then due at its next turn. */
const SPILL_MIN_MS = 1;
/** How often it is looked whether the Kernel took the rest. */
const SETTLE_CHECK_MS = 5;
/** Pause after the disk refused an append. */
const APPEND_RETRY_MS = 500;

export interface SpillerOptions {
  readonly ring: Ring;
  readonly window: Window;
  /** A block of this age is due. */
  readonly spillAgeMs: number;
  /** Every block is due at once. */
  readonly isAllDue: () => boolean;
  /** These blocks are durable in the ring. */
  readonly stored: (blocks: readonly Block[]) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Brings blocks from the window to the ring when they are due. */
export class Spiller {
  readonly #options: SpillerOptions;
  readonly #writeTimes: SlowestOfHour;
  readonly #stalls: SlowestOfHour;
  /** Goes off when the oldest block falls due: at this monotonic time. */
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #spilling: Promise<void> | null = null;
  #closing = false;
  #isSettling = false;
  readonly #refusals: RecurringFailure;

  constructor(options: SpillerOptions) {
    this.#options = options;
    this.#refusals = new RecurringFailure(options);
    this.#writeTimes = new SlowestOfHour(options.clock);
    this.#stalls = new SlowestOfHour(options.clock);
  }

  /** Of the last hour, from asking the ring until blocks were durable. */
  get slowestWriteMs(): number {
    return this.#writeTimes.slowestMs();
  }

  /** Of the last hour: how late a block that fell due was handed to the idle ring. */
  get slowestStallMs(): number {
    return this.#stalls.slowestMs();
  }

  /** Stores what is due, and looks again when the next block is. */
  soon(): void {
    if (this.#spilling !== null || this.#closing) return;
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#dueBlocks().length > 0) {
      this.#stalls.note(this.#options.clock.monotonicMs() - this.#dueMs);
      this.#dueMs = Number.POSITIVE_INFINITY;
      this.#spilling = this.#spill().finally(() => {
        this.#spilling = null;
        this.soon();
      });
      return;
    }
    const { window, clock, spillAgeMs } = this.#options;
    const oldest = window.undurable;
    if (oldest === undefined) return;
    this.#dueMs = oldest.sinceMs + spillAgeMs;
    const dueInMs = this.#dueMs - clock.monotonicMs();
    this.#timer = clock.schedule('spill', Math.max(dueInMs, SPILL_MIN_MS), () => this.soon());
  }

  /**
   * Brings everything to the ring now. Resolves when all of it is durable there or acknowledged, or after
   * `ms`: false where something is neither then.
   */
  async settle(ms: number): Promise<boolean> {
    const { window, clock } = this.#options;
    const untilMs = clock.monotonicMs() + ms;
    this.#isSettling = true;
    this.soon();
    while (window.undurable !== undefined && clock.monotonicMs() < untilMs) {
      await clock.sleep(SETTLE_CHECK_MS);
    }
    this.#isSettling = false;
    return window.undurable === undefined;
  }

  /** Stores everything, with one try, and stops. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#timer?.cancel();
    await this.#spilling;
    await this.#spill();
  }

  /** Appends everything that is due, oldest first, until nothing is or the disk refuses. */
  async #spill(): Promise<void> {
    const { ring, clock, stored } = this.#options;
    for (let due = this.#dueBlocks(); due.length > 0; due = this.#dueBlocks()) {
      try {
        await this.#writeTimes.measure(() => ring.append(due));
      } catch (error) {
        if (!isKomError(error)) throw error;
        const { code, message } = error;
        const what = 'the ring takes nothing; blocks stay in memory';
        this.#refusals.failed(code, { code, error: message }, what);
        if (this.#closing) return;
        await clock.sleep(APPEND_RETRY_MS);
        return;
      }
      this.#refusals.well('the ring takes blocks again');
      stored(due);
    }
  }

  #dueBlocks(): Block[] {
    const { spillAgeMs, clock, window, isAllDue } = this.#options;
    const nowMs = clock.monotonicMs();
    const all = this.#closing || this.#isSettling || isAllDue();
    const due: Block[] = [];
    let bytes = 0;
    for (const { block, sinceMs, durable } of window.blocks) {
      if (durable) continue;
      if (bytes >= APPEND_BYTES_MAX || (!all && nowMs - sinceMs < spillAgeMs)) break;
      due.push(block);
      bytes += block.bytes.length;
    }
    return due;
  }
}
