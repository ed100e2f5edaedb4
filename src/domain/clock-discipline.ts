import type { KernelTime } from './clock-exchange.ts';

/** Whose time the agent stamps with. */
export const CLOCK_MODES = ['system', 'kernel'] as const;
export type ClockMode = (typeof CLOCK_MODES)[number];

/**
 * What the agent's time follows now. `system`: the clock of the operating system. `kernel`: the Kernel's
 * clock. `saved`: it started from the last saved time, because the system's clock was before that.
 */
export type ClockSource = 'system' | 'kernel' | 'saved';

/** Both clocks of the machine at one moment, µs. */
export interface ClockReading {
  readonly monotonicUs: number;
  /** Since 1970, UTC, as the operating system tells it. */
  readonly systemUs: number;
}

/** What a run leaves for the next one: with the same boot id its monotonic clock goes on. */
export interface SavedClock {
  /** 32 hexadecimal digits: the run of the operating system. */
  readonly bootId: string;
  /** The agent's time minus the monotonic clock, µs. */
  readonly offsetUs: number;
  /** A Kernel had confirmed it in this boot. */
  readonly isConfirmed: boolean;
  readonly source: ClockSource;
  /** The Kernel's clock minus the agent's time, µs; `null` if no Kernel told it. */
  readonly kernelAheadUs: number | null;
}

/** Between two of its changes the agent's time runs evenly with the monotonic clock. */
export interface ClockEra {
  /** The agent's time minus the monotonic clock, µs. */
  readonly offsetUs: number;
  /** False: nothing vouches for the times that it stamped. */
  readonly isCertain: boolean;
}

/** The agent's time was set, or became certain. */
export interface ClockChange {
  readonly before: ClockEra;
  readonly after: ClockEra;
  /** After minus before, µs. */
  readonly byUs: number;
}

/** A wall clock that was set. */
export interface ClockStep {
  /** The agent's time when it was noticed, µs. */
  readonly atUs: number;
  readonly byUs: number;
  readonly what: 'system' | 'agent';
}

/** A difference up to this is drift, which is made up for slowly; a larger one is a clock that was set. */
export const CLOCK_STEP_US = 1_000_000;
/** No release of this program is older: a clock before it was never set. 2026-01-01T00:00:00Z. */
export const CLOCK_EARLIEST_US = 1_767_225_600_000_000;
/** Steps that the status shows. */
const STEPS_MAX = 20;
/** Drift is made up for at most at this rate: a second in 100 s. */
const SLEW_RATE = 0.01;

/**
 * The agent's time: monotonic time plus an offset. It follows its source by slewing, so that it runs evenly,
 * and is set in one step only where `follow` or `begin` says so. Pure: the times come in as values.
 *
 * - `system`: the system's clock is followed. When that is set by more than a second, it is followed there,
 *   unless a Kernel has confirmed the time in this boot: then the agent goes on by itself until the two agree
 *   again or a Kernel tells who is right. A Kernel may differ from a clock that was never set, but it refutes
 *   one that was.
 * - `kernel`: the Kernel's clock is followed from its first word on; without a Kernel the agent goes on with
 *   the offset that it knows. Until that word the times are uncertain.
 * - A system clock that is before the last saved time has not been set: the agent starts from the saved time,
 *   uncertain, until a Kernel tells the time or somebody sets the clock past it.
 */
export class ClockDiscipline {
  readonly #mode: ClockMode;
  #era: ClockEra;
  #source: ClockSource = 'system';
  #isConfirmed = false;
  /** The system's clock was followed where somebody set it; a Kernel has not seen that yet. */
  #isSuspect = false;
  #systemOffsetUs: number;
  #followedUs: number;
  #lastUs = 0;
  #steps: readonly ClockStep[] = [];
  #stepCount = 0;

  constructor(mode: ClockMode, start: ClockReading) {
    this.#mode = mode;
    this.#systemOffsetUs = start.systemUs - start.monotonicUs;
    this.#followedUs = start.monotonicUs;
    this.#era = { offsetUs: this.#systemOffsetUs, isCertain: mode === 'system' };
    this.#startFrom(CLOCK_EARLIEST_US, start);
  }

  get era(): ClockEra {
    return this.#era;
  }

  get source(): ClockSource {
    return this.#source;
  }

  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  /** The system's clock minus the agent's time, µs, at the last reading. */
  get systemAheadUs(): number {
    return this.#systemOffsetUs - this.#era.offsetUs;
  }

  get steps(): readonly ClockStep[] {
    return this.#steps;
  }

  /** All steps since the start. */
  get stepCount(): number {
    return this.#stepCount;
  }

  /** Integer µs since 1970, UTC; between two changes never steps back. */
  timeUs(monotonicUs: number): number {
    this.#lastUs = Math.max(this.#lastUs, Math.floor(monotonicUs + this.#era.offsetUs));
    return this.#lastUs;
  }

  /** What the runs before left is known. Never starts before the last saved time. */
  begin(
    saved: { readonly savedUs: number; readonly clock: SavedClock | null },
    own: { readonly bootId: string; readonly now: ClockReading },
  ): ClockChange | null {
    const { clock, savedUs } = saved;
    const before = this.#era;
    if (clock !== null && clock.bootId === own.bootId) this.#goOn(clock, own.now);
    else this.#startFrom(savedUs, own.now);
    return this.#changed(before);
  }

  /** Looks at the clocks; at least once a second. A change is to be told to whoever remembers times. */
  follow(now: ClockReading, kernel: KernelTime | null): ClockChange | null {
    const before = this.#era;
    const systemOffsetUs = now.systemUs - now.monotonicUs;
    const steppedUs = systemOffsetUs - this.#systemOffsetUs;
    this.#systemOffsetUs = systemOffsetUs;
    if (Math.abs(steppedUs) > CLOCK_STEP_US) this.#noteStep(now, steppedUs, 'system');
    const usable = kernel !== null && kernel.uncertaintyUs <= CLOCK_STEP_US ? kernel : null;
    if (this.#mode === 'kernel') this.#followKernel(now, usable);
    else this.#followSystem(now, usable);
    if (usable !== null && this.#isNear(usable.offsetUs)) this.#isConfirmed = true;
    this.#followedUs = now.monotonicUs;
    const change = this.#changed(before);
    if (change !== null && Math.abs(change.byUs) > CLOCK_STEP_US) this.#noteStep(now, change.byUs, 'agent');
    return change;
  }

  #followKernel(now: ClockReading, kernel: KernelTime | null): void {
    if (kernel !== null) this.#take(now, kernel.offsetUs, 'kernel');
    else if (this.#source === 'system') this.#take(now, this.#systemOffsetUs, 'system');
    else if (this.#source === 'saved') this.#followWhenSet(now);
  }

  #followSystem(now: ClockReading, kernel: KernelTime | null): void {
    if (this.#source === 'saved') {
      if (kernel !== null) this.#take(now, kernel.offsetUs, 'kernel');
      else this.#followWhenSet(now);
      return;
    }
    const isRefuted = this.#isSuspect && kernel !== null && !this.#isNear(kernel.offsetUs);
    if (kernel !== null) this.#isSuspect = false;
    if (isRefuted && kernel !== null) this.#take(now, kernel.offsetUs, 'kernel');
    else if (this.#isNear(this.#systemOffsetUs)) this.#take(now, this.#systemOffsetUs, 'system');
    else if (kernel === null) {
      this.#isSuspect = !this.#isConfirmed;
      if (this.#isSuspect) this.#take(now, this.#systemOffsetUs, 'system');
      else this.#source = 'kernel';
    } else if (isWithinStep(kernel.offsetUs, this.#systemOffsetUs)) {
      this.#take(now, this.#systemOffsetUs, 'system');
    } else this.#take(now, kernel.offsetUs, 'kernel');
  }

  /** The system's clock was before the saved time; once it is past the agent's time, somebody has set it. */
  #followWhenSet(now: ClockReading): void {
    if (this.#systemOffsetUs > this.#era.offsetUs) this.#take(now, this.#systemOffsetUs, 'system');
  }

  #take(now: ClockReading, offsetUs: number, source: ClockSource): void {
    const isCertain = source === 'kernel' || this.#mode === 'system';
    this.#source = source;
    const differenceUs = offsetUs - this.#era.offsetUs;
    // What becomes certain gets its exact time with it: the new era begins there.
    if (!this.#isNear(offsetUs) || (isCertain && !this.#era.isCertain)) {
      this.#set({ offsetUs, isCertain });
      return;
    }
    const mostUs = Math.max(0, now.monotonicUs - this.#followedUs) * SLEW_RATE;
    const byUs = Math.max(-mostUs, Math.min(mostUs, differenceUs));
    if (byUs !== 0) this.#era = { ...this.#era, offsetUs: this.#era.offsetUs + byUs };
  }

  /** The boot is the same, so the time of the run before goes on; the system's clock may have been set. */
  #goOn({ offsetUs, isConfirmed, source }: SavedClock, now: ClockReading): void {
    if (isWithinStep(offsetUs, this.#systemOffsetUs)) {
      this.#isConfirmed = isConfirmed;
      return;
    }
    this.#noteStep(now, this.#systemOffsetUs - offsetUs, 'system');
    const isLeft = !isConfirmed && source !== 'saved';
    if (isLeft && this.#source !== 'saved') {
      this.#isSuspect = true;
      return;
    }
    this.#isConfirmed = isConfirmed;
    this.#source = isConfirmed ? 'kernel' : 'saved';
    this.#set({ offsetUs, isCertain: isConfirmed });
  }

  #startFrom(floorUs: number, now: ClockReading): void {
    const behindUs = floorUs - Math.floor(now.monotonicUs + this.#era.offsetUs);
    if (behindUs <= 0) return;
    const isCertain = this.#era.isCertain && behindUs <= CLOCK_STEP_US;
    if (behindUs > CLOCK_STEP_US) this.#source = 'saved';
    this.#set({ offsetUs: this.#era.offsetUs + behindUs, isCertain });
  }

  #set(era: ClockEra): void {
    this.#era = era;
    this.#lastUs = 0;
  }

  #changed(before: ClockEra): ClockChange | null {
    const after = this.#era;
    const byUs = Math.round(after.offsetUs - before.offsetUs);
    const isSlew = Math.abs(byUs) <= CLOCK_STEP_US && before.isCertain === after.isCertain;
    return isSlew ? null : { before, after, byUs };
  }

  #isNear(offsetUs: number): boolean {
    return isWithinStep(offsetUs, this.#era.offsetUs);
  }

  #noteStep(now: ClockReading, byUs: number, what: ClockStep['what']): void {
    const atUs = Math.max(0, Math.floor(now.monotonicUs + this.#era.offsetUs));
    this.#steps = [...this.#steps, { atUs, byUs: Math.round(byUs), what }].slice(-STEPS_MAX);
    this.#stepCount += 1;
  }
}

function isWithinStep(oneUs: number, otherUs: number): boolean {
  return Math.abs(oneUs - otherUs) <= CLOCK_STEP_US;
}
