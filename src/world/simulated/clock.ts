import { invariant } from '../../domain/errors.ts';
import { type Clock, sleepOn, type Timer } from '../clock.ts';

/**
 * Virtual time. Nothing passes unless `advance` or `runUntil` is called; then timers fire in the order of
 * (due, insertion), and between two of them everything that waits for promises runs to its end.
 *
 * What may go wrong here: the wall clock steps in both directions (`stepWallMs`). What stops a broken test:
 * a timer that re-arms without time passing, a promise that nothing will settle, a limit of virtual time.
 */
export class SimulatedClock implements Clock {
  #nowMs = 0;
  #wallOffsetUs: number;
  #inserted = 0;
  #eventsAtNow = 0;
  /** Ascending by (due, insertion). */
  readonly #timers: PendingTimer[] = [];

  /** Starts at `wallUs`, by default 2026-01-01T00:00:00Z. */
  constructor(wallUs = 1_767_225_600_000_000) {
    this.#wallOffsetUs = wallUs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallUs(): number {
    return this.#wallOffsetUs + Math.floor(this.#nowMs * 1000);
  }

  /** Sets the wall clock forward, or back with a negative number, as an operator or NTP would. */
  stepWallMs(ms: number): void {
    this.#wallOffsetUs += Math.round(ms * 1000);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  schedule(name: string, ms: number, run: () => void): Timer {
    invariant(ms >= 0, () => `timer ${name} is due in the future, not in ${ms} ms`);
    const timer: PendingTimer = { name, dueMs: this.#nowMs + ms, order: this.#inserted++, run };
    this.#timers.splice(this.#position(timer), 0, timer);
    return { cancel: () => this.#remove(timer) };
  }

  repeat(name: string, ms: number, run: () => void): Timer {
    invariant(ms > 0, `timer ${name} repeats at a period longer than ${ms} ms`);
    let timer: Timer;
    const fire = () => {
      timer = this.schedule(name, ms, fire);
      run();
    };
    timer = this.schedule(name, ms, fire);
    return { cancel: () => timer.cancel() };
  }

  /** Timers that have not fired, for finding what a test left behind. */
  get pendingTimers(): readonly string[] {
    return this.#timers.map((timer) => timer.name);
  }

  /** Lets `ms` of virtual time pass, with everything that happens in it. */
  async advance(ms: number): Promise<void> {
    invariant(ms >= 0, 'time does not run backwards');
    const untilMs = this.#nowMs + ms;
    await settled();
    while (await this.#fireNext(untilMs));
    this.#moveTo(untilMs);
  }

  /**
   * Lets time pass until the promise settles, and settles likewise. Fails when nothing is left that could
   * settle it, or after `limitMs` of virtual time, by default an hour.
   */
  async runUntil<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    const untilMs = this.#nowMs + limitMs;
    let over = false;
    const finish = () => {
      over = true;
    };
    promise.then(finish, finish);
    await settled();
    while (!over) {
      if (await this.#fireNext(untilMs)) continue;
      const waiting = this.#timers.map((timer) => `${timer.name} at ${timer.dueMs} ms`);
      const why = waiting.length === 0 ? 'no timer is left' : `timers left: ${waiting.join(', ')}`;
      throw new Error(`the promise did not settle within ${limitMs} ms of virtual time; ${why}`);
    }
    return promise;
  }

  /** Fires one timer that is due by `untilMs`; false if there is none. */
  async #fireNext(untilMs: number): Promise<boolean> {
    const timer = this.#timers[0];
    if (timer === undefined || timer.dueMs > untilMs) return false;
    this.#timers.shift();
    this.#moveTo(timer.dueMs);
    this.#eventsAtNow += 1;
    if (this.#eventsAtNow > EVENTS_AT_ONE_TIME_MAX) {
      throw new Error(`timer ${timer.name} fires again and again without time passing`);
    }
    timer.run();
    await settled();
    return true;
  }

  #moveTo(ms: number): void {
    if (ms === this.#nowMs) return;
    this.#nowMs = ms;
    this.#eventsAtNow = 0;
  }

  #remove(timer: PendingTimer): void {
    const at = this.#position(timer);
    if (this.#timers[at] === timer) this.#timers.splice(at, 1);
  }

  /** Index of the first timer that is not before this one. */
  #position(timer: PendingTimer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#timers[middle];
      if (other !== undefined && isBefore(other, timer)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface PendingTimer {
  readonly name: string;
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** More events at one moment than any honest test has. */
const EVENTS_AT_ONE_TIME_MAX = 100_000;

function isBefore(left: PendingTimer, right: PendingTimer): boolean {
  return left.dueMs === right.dueMs ? left.order < right.order : left.dueMs < right.dueMs;
}

/**
 * Before a callback of `setImmediate` everything that waits for promises has run to its end, and what is
 * rejected and handled by nobody was told of. Of several that wait in a row, each does; and a whole turn of
 * the event loop, which looks for sockets and timers that nothing here has, costs four times as much.
 */
const CALLBACKS_IN_A_ROW = 32;
const waiting: (() => void)[] = [];
let callbacksDue = 0;

/** Resolves when every promise that can go on without time passing has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (callbacksDue >= waiting.length) return;
    for (let at = 0; at < CALLBACKS_IN_A_ROW; at++) setImmediate(settleNext);
    callbacksDue += CALLBACKS_IN_A_ROW;
  });
}

function settleNext(): void {
  callbacksDue -= 1;
  waiting.shift()?.();
}
