import type { RedundancySettings } from '../config/model.ts';

/** What is known of a line: whether this instance could open it. */
export interface LineFitness {
  readonly line: string;
  /** Nothing tests it: the site file does not allow it, or it would take the line from the one who has it. */
  readonly isTested: boolean;
  /** How long ago it was proven, milliseconds; `null`: not in this run. */
  readonly provenAgeMs: number | null;
  /** Why the last test failed; `null`: it did not. */
  readonly error: string | null;
  /** Nothing has proven it for longer than the site file allows. */
  readonly isOverdue: boolean;
}

interface Entry {
  readonly triedMs: number | null;
  readonly provenMs: number | null;
  readonly error: string | null;
  readonly isTestable: boolean;
}

const NOTHING: Entry = { triedMs: null, provenMs: null, error: null, isTestable: true };

/** When each line was tested, and what came of it; one entry a line. Pure: monotonic times are given. */
export class FitnessBook {
  readonly #settings: Pick<RedundancySettings, 'fitnessIntervalMs' | 'fitnessMaxAgeMs'>;
  readonly #startMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(settings: Pick<RedundancySettings, 'fitnessIntervalMs' | 'fitnessMaxAgeMs'>, startMs: number) {
    this.#settings = settings;
    this.#startMs = startMs;
  }

  isDue(line: string, nowMs: number): boolean {
    const { triedMs } = this.#entry(line);
    return triedMs === null || nowMs - triedMs >= this.#settings.fitnessIntervalMs;
  }

  proven(line: string, nowMs: number): void {
    this.#entries.set(line, { triedMs: nowMs, provenMs: nowMs, error: null, isTestable: true });
  }

  /** There is nothing that could be tested. */
  untestable(line: string, nowMs: number): void {
    this.#entries.set(line, { ...this.#entry(line), triedMs: nowMs, error: null, isTestable: false });
  }

  /** True: it is news. */
  failed(line: string, error: string, nowMs: number): boolean {
    const before = this.#entry(line);
    this.#entries.set(line, { ...before, triedMs: nowMs, error, isTestable: true });
    return before.error !== error;
  }

  of(line: string, { isTested, nowMs }: { isTested: boolean; nowMs: number }): LineFitness {
    const { provenMs, error, isTestable } = this.#entry(line);
    const ageMs = nowMs - (provenMs ?? this.#startMs);
    const isCovered = isTested && isTestable;
    return {
      line,
      isTested: isCovered,
      provenAgeMs: provenMs === null ? null : nowMs - provenMs,
      error: isTested ? error : null,
      isOverdue: isCovered && ageMs > this.#settings.fitnessMaxAgeMs,
    };
  }

  #entry(line: string): Entry {
    return this.#entries.get(line) ?? NOTHING;
  }
}
