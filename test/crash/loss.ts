/** What a run had at risk, from what its writer said, and the bounds that it is held against. */
import { powerCutBoundMs } from '../../src/domain/power-cut.ts';
import { type Said, SETTINGS, type StoreSettings } from './settings.ts';

type Policy = StoreSettings['policy'];
type Numbered = Extract<Said, { kind: 'numbered' }>;

export interface Run {
  readonly policy: Policy;
  readonly blockAgeMs: number;
  readonly said: readonly Said[];
  readonly killedAtMs: number;
  /** Delivered, or durable after the crash. */
  readonly keptThrough: number;
}

/** What one crash lost of what was numbered. */
export interface Loss {
  readonly policy: Policy;
  readonly samples: number;
  /** Age of the oldest lost sample when the writer was killed, milliseconds. */
  readonly ageMs: number;
  /**
   * The bound by what was measured from outside up to the kill: the slowest write, one under way included,
   * and the longest that the writer was held up.
   */
  readonly boundMs: number;
  readonly writeMs: number;
  readonly stallMs: number;
  /** Where the oldest lost sample was, for a person. */
  readonly way: string;
}

export function lossOf(run: Run): Loss {
  const { policy, blockAgeMs, said, killedAtMs, keptThrough } = run;
  const numbered = said.filter((each) => each.kind === 'numbered');
  const before = numbered.filter(({ atMs }) => atMs <= killedAtMs);
  const oldest = before.find(({ through }) => through > keptThrough);
  const writeMs = slowestWriteMs(run);
  const ticks = said.filter((each) => each.kind === 'numbered' || each.kind === 'idle');
  const stallMs = longestStallMs([...ticks.map(({ atMs }) => atMs), killedAtMs]);
  return {
    policy,
    samples: Math.max(0, (before.at(-1)?.through ?? 0) - keptThrough),
    ageMs: oldest === undefined ? 0 : killedAtMs - oldest.atMs,
    boundMs: powerCutBoundMs({ ...SETTINGS, blockAgeMs, store: policy, writeMs, stallMs }),
    writeMs,
    stallMs,
    way: oldest === undefined ? '' : wayOf(run, oldest),
  };
}

/** One write of a run, when it was confirmed. */
export interface Write {
  readonly tookMs: number;
  readonly isChange: boolean;
  /** Age of its oldest sample, which a power cut right before would have cost. */
  readonly ageMs: number;
  /** The bound that the product stated then. */
  readonly boundMs: number;
}

/** The writes of a run that were confirmed before the kill. */
export function writesOf(said: readonly Said[]): Write[] {
  const numbered = said.filter((each) => each.kind === 'numbered');
  let askedMs = 0;
  return said.flatMap((each): Write[] => {
    if (each.kind === 'asked') askedMs = each.atMs;
    if (each.kind !== 'durable') return [];
    const oldest = numbered.find(({ through }) => through >= each.first);
    if (oldest === undefined) return [];
    const { isChange, boundMs, atMs } = each;
    return [{ tookMs: atMs - askedMs, isChange, ageMs: atMs - oldest.atMs, boundMs }];
  });
}

/** From asking the ring until it was durable, or until the kill. */
function slowestWriteMs({ said, killedAtMs }: Run): number {
  let slowest = 0;
  let askedMs: number | null = null;
  for (const each of said) {
    if (each.kind === 'asked') askedMs ??= each.atMs;
    if (each.kind !== 'durable' || askedMs === null) continue;
    slowest = Math.max(slowest, each.atMs - askedMs);
    askedMs = null;
  }
  return askedMs === null ? slowest : Math.max(slowest, killedAtMs - askedMs);
}

/**
 * How late something may have been done that was due within the run, seen by the ticks of the samples: what
 * is due right after one tick may have its turn with the next one, and take until the one after that.
 */
function longestStallMs(ticksMs: readonly number[]): number {
  return Math.max(0, ...ticksMs.map((atMs, at) => atMs - (ticksMs[Math.max(0, at - 2)] ?? atMs)));
}

/** `sealed after 51 ms, asked after 210 ms, lost after 236 ms`: from the number of a sample on. */
function wayOf({ said, killedAtMs }: Run, oldest: Numbered): string {
  const after = (kind: 'sealed' | 'asked', done: string): string[] => {
    const found = said.find((each) => each.kind === kind && each.through >= oldest.through);
    return found === undefined || !('atMs' in found) ? [] : [`${done} ${ms(found.atMs - oldest.atMs)}`];
  };
  const steps = [...after('sealed', 'sealed after'), ...after('asked', 'asked after')];
  return [...steps, `lost after ${ms(killedAtMs - oldest.atMs)}`].join(', ');
}

export function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
