/** What `npm run bench -- <name>` runs. */
export interface Bench {
  /** One line for the list of benches. */
  readonly about: string;
  run(options: BenchOptions): Promise<readonly Figure[]>;
}

export interface BenchOptions {
  /** Smaller amounts: seconds instead of minutes, and less exact. */
  readonly quick: boolean;
  /** Size of what is measured, where a bench takes one. */
  readonly samples?: number;
}

/** One measured figure. */
export interface Figure {
  /** Its key with `--json`; a dot makes a nested object. */
  readonly key: string;
  readonly about: string;
  /** `null`: not measured in this run, `about` says why. */
  readonly value: number | null;
  readonly unit: string;
  /** What the figure has to reach, if anything. */
  readonly floor?: { readonly atLeast: number } | { readonly atMost: number };
}

export function isMissed({ value, floor }: Figure): boolean {
  if (value === null || floor === undefined) return false;
  return 'atLeast' in floor ? value < floor.atLeast : value > floor.atMost;
}
