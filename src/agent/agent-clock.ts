import {
  CLOCK_EARLIEST_US,
  type ClockChange,
  ClockDiscipline,
  type ClockEra,
  type ClockMode,
  type ClockReading,
  type ClockSource,
  type ClockStep,
  type SavedClock,
} from '../domain/clock-discipline.ts';
import { type ClockExchange, KernelClock } from '../domain/clock-exchange.ts';
import type { ClockReference } from '../domain/clock-fix.ts';
import type { Clock, Timer } from '../world/clock.ts';

export interface AgentClockOptions {
  /** The clocks of the machine. */
  readonly system: Clock;
  readonly mode: ClockMode;
  /** 32 hexadecimal digits: this run of the operating system. */
  readonly bootId: string;
}

/** What `kom status` shows. Times and differences in µs. */
export interface ClockStatus {
  readonly mode: ClockMode;
  readonly source: ClockSource;
  /** Nothing vouches for the times that are stamped now: `uncertain`. */
  readonly state: 'certain' | 'uncertain';
  /** The Kernel's clock minus the agent's time; `null`: no Kernel told it in this run. */
  readonly kernelAheadUs: number | null;
  /** How far that may be wrong. */
  readonly kernelUncertaintyUs: number | null;
  /** The system's clock minus the agent's time. */
  readonly systemAheadUs: number;
  /** Steps since the start, and the last of them. */
  readonly stepCount: number;
  readonly steps: readonly ClockStep[];
}

/** An offset to the Kernel above this is told to the log and by `kom status`, µs. */
export const CLOCK_ALARM_US = 1_000_000;

/** A driver may remember for so long when it last saw something, µs. */
const STAMPED_BEFORE_MAX_US = 600_000_000;

/**
 * The agent's time as a clock: its wall time runs evenly with the monotonic clock and changes only in
 * `begin` and `follow`, whose result is to be told to whoever remembers times.
 */
export class AgentClock implements Clock {
  readonly #options: AgentClockOptions;
  readonly #discipline: ClockDiscipline;
  readonly #kernel = new KernelClock();
  /** What was added to the time, the time after that, and until when stamps from before may come. */
  #lastChange: { readonly byUs: number; readonly atUs: number; readonly untilUs: number } | null = null;

  constructor(options: AgentClockOptions) {
    this.#options = options;
    this.#discipline = new ClockDiscipline(options.mode, this.#reading());
  }

  monotonicMs(): number {
    return this.#options.system.monotonicMs();
  }

  wallUs(): number {
    return this.#discipline.timeUs(this.#monotonicUs());
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#options.system.sleep(ms, signal);
  }

  schedule(name: string, ms: number, run: () => void): Timer {
    return this.#options.system.schedule(name, ms, run);
  }

  repeat(name: string, ms: number, run: () => void): Timer {
    return this.#options.system.repeat(name, ms, run);
  }

  get era(): ClockEra {
    return this.#discipline.era;
  }

  get isCertain(): boolean {
    return this.#discipline.era.isCertain;
  }

  get status(): ClockStatus {
    const { source, era, systemAheadUs, stepCount, steps } = this.#discipline;
    const kernel = this.#kernel.at(this.#monotonicUs());
    return {
      mode: this.#options.mode,
      source,
      state: era.isCertain ? 'certain' : 'uncertain',
      kernelAheadUs: kernel === null ? null : Math.round(kernel.offsetUs - era.offsetUs),
      kernelUncertaintyUs: kernel?.uncertaintyUs ?? null,
      systemAheadUs: Math.round(systemAheadUs),
      stepCount,
      steps,
    };
  }

  /** What the next run is to know. */
  get saved(): SavedClock {
    const { era, isConfirmed, source } = this.#discipline;
    const { kernelAheadUs } = this.status;
    return { bootId: this.#options.bootId, offsetUs: era.offsetUs, isConfirmed, source, kernelAheadUs };
  }

  /** Whose time may correct what was stamped; `null`: nobody's. */
  get reference(): ClockReference | null {
    const kernel = this.#kernel.at(this.#monotonicUs());
    if (kernel !== null && kernel.uncertaintyUs <= CLOCK_ALARM_US) {
      return { offsetUs: kernel.offsetUs, by: 'kernel' };
    }
    const { source, era } = this.#discipline;
    return source === 'system' && era.isCertain ? { offsetUs: era.offsetUs, by: 'system' } : null;
  }

  /** The last saved time of the run before this one, integer µs, and its clock. */
  begin(savedUs: number, clock: SavedClock): ClockChange | null {
    const own = { bootId: this.#options.bootId, now: this.#reading() };
    return this.#noted(this.#discipline.begin({ savedUs, clock }, own));
  }

  /** A word of the Kernel. */
  learn(exchange: ClockExchange): void {
    this.#kernel.note(exchange);
  }

  /** Looks at all clocks; at least once a second. */
  follow(): ClockChange | null {
    const now = this.#reading();
    return this.#noted(this.#discipline.follow(now, this.#kernel.at(now.monotonicUs)));
  }

  /** Something that was stamped before the last change may still be on its way. */
  get hasChangedLately(): boolean {
    return this.#lastChange !== null && this.wallUs() <= this.#lastChange.untilUs;
  }

  /**
   * A time that this run stamped, as the present time has it: what does not lie between the last change and
   * now was stamped before that change.
   */
  presentOf(timeUs: number): number {
    // Nothing is ever stamped before the first release: that is a device's word for "no time".
    if (this.#lastChange === null || timeUs < CLOCK_EARLIEST_US) return timeUs;
    const { byUs, atUs } = this.#lastChange;
    const isOfNow = timeUs >= atUs && timeUs <= this.wallUs();
    return isOfNow ? timeUs : timeUs + byUs;
  }

  #noted(change: ClockChange | null): ClockChange | null {
    if (change === null) return null;
    const atUs = this.wallUs();
    this.#lastChange = { byUs: change.byUs, atUs, untilUs: atUs + STAMPED_BEFORE_MAX_US };
    return change;
  }

  #monotonicUs(): number {
    return this.monotonicMs() * 1000;
  }

  #reading(): ClockReading {
    return { monotonicUs: this.#monotonicUs(), systemUs: this.#options.system.wallUs() };
  }
}
