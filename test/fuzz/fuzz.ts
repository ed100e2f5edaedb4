import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { CAMPAIGNS } from './campaigns.ts';
import { recordCorpus } from './corpus.ts';
import { PURE_TARGETS } from './pure.ts';

/** One call of a decoder, or one campaign, may take so long on a slow and busy machine. */
const PURE_MS_MAX = 3000;
const CAMPAIGN_MS_MAX = 60_000;
/** Heap that may be left at the end beyond that of the beginning. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const PURE_PER_TURN = 300;
const SEEDS = 2 ** 31;

export interface FuzzOptions {
  readonly seed: number;
  /** Ends after the turn in which this is over; at least one turn is made. */
  readonly isOver: (turns: number) => boolean;
  readonly nowMs: () => number;
  /** Heap in use, garbage apart; `null` where that is not to be told. */
  readonly heapBytes: () => number | null;
}

export interface FuzzResult {
  readonly seed: number;
  readonly turns: number;
  /** Inputs by target. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly target: string; readonly seed: number; readonly error: string }[];
  readonly slowestMs: number;
  readonly heapGrowthBytes: number | null;
}

/**
 * Turns of damaged real traffic against every decoder, a whole Kernel and a whole agent. A turn has a seed of
 * its own: the failing one is replayed by running with it.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { seed, isOver, nowMs, heapBytes } = options;
  const corpus = await recordCorpus(1);
  const inputs: Record<string, number> = {};
  const failures: { target: string; seed: number; error: string }[] = [];
  let slowestMs = 0;
  let heapBefore: number | null = null;
  let turns = 0;
  const run = async (
    target: string,
    turnSeed: number,
    job: { maxMs: number; run: () => Promise<number> },
  ) => {
    const startedMs = nowMs();
    try {
      inputs[target] = (inputs[target] ?? 0) + (await job.run());
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failures.push({ target, seed: turnSeed, error: text.slice(0, 4000) });
    }
    const tookMs = nowMs() - startedMs;
    slowestMs = Math.max(slowestMs, tookMs);
    if (tookMs > job.maxMs)
      failures.push({ target, seed: turnSeed, error: `it took ${Math.round(tookMs)} ms` });
  };
  do {
    const turnSeed = (seed + turns) % SEEDS;
    for (const [target, once] of Object.entries(PURE_TARGETS)) {
      const random = createSimulatedRandom(turnSeed);
      const many = async (): Promise<number> => {
        for (let at = 0; at < PURE_PER_TURN; at++) once(corpus, random);
        return PURE_PER_TURN;
      };
      await run(target, turnSeed, { maxMs: PURE_MS_MAX, run: many });
    }
    for (const [target, campaign] of Object.entries(CAMPAIGNS)) {
      await run(target, turnSeed, { maxMs: CAMPAIGN_MS_MAX, run: () => campaign(corpus, turnSeed) });
    }
    turns += 1;
    // The first turns warm up caches and compiled code.
    if (turns === 2) heapBefore = heapBytes();
  } while (!isOver(turns) && failures.length < 5);
  const heapAfter = heapBytes();
  const heapGrowthBytes = heapBefore === null || heapAfter === null ? null : heapAfter - heapBefore;
  if (heapGrowthBytes !== null && heapGrowthBytes > GROWTH_BYTES_MAX) {
    failures.push({ target: 'all', seed, error: `the heap grew by ${heapGrowthBytes} bytes` });
  }
  return { seed, turns, inputs, failures, slowestMs: Math.round(slowestMs), heapGrowthBytes };
}
