/*
 * The archive of this Kernel: a file of JSON lines, one for each transaction, synced before anything is
 * acknowledged. What it says is all that the Kernel knows after a restart.
 */
import { existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { type Cover, covered, type Range } from './coverage.ts';
import type { Entry } from './entry.ts';

export interface Stream {
  readonly streamId: string;
  /** Site, process and instance. */
  readonly owner: string;
  readonly previous: string | null;
  /** Until when the one before was alive. */
  readonly previousAliveUs: number | null;
  readonly startedAtUs: number;
}

export interface GapRecord extends Range {
  readonly streamId: string;
  readonly reason: string;
  readonly fromUs: number;
  readonly toUs: number;
  readonly countAtMost: number;
}

/** What goes into the archive together, or not at all. */
export interface Transaction {
  readonly streams?: readonly Stream[];
  readonly ended?: readonly { readonly streamId: string; readonly last: number; readonly atUs: number }[];
  readonly observed?: readonly { readonly streamId: string; readonly untilUs: number }[];
  readonly dictionary?: { readonly hash: string; readonly content: string };
  readonly rows?: readonly {
    readonly streamId: string;
    readonly dictionary: string;
    readonly entries: readonly Entry[];
    /** What is there of these numbers goes first. */
    readonly repair?: boolean;
  }[];
  readonly gaps?: readonly GapRecord[];
}

/** Reading back: int64 values are texts of digits. */
function withoutBigint(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

export class Archive {
  readonly streams = new Map<string, Stream>();
  /** Last number of streams that ended cleanly. */
  readonly ended = new Map<string, number>();
  readonly observedUntilUs = new Map<string, number>();
  readonly dictionaries = new Map<string, string>();
  readonly #coverage = new Map<string, readonly Cover[]>();
  readonly #file: number;

  constructor(path: string) {
    const text = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    // A line that was cut off by a crash was never acknowledged.
    const whole = text.subarray(0, text.lastIndexOf('\n') + 1);
    for (const line of whole.toString('utf8').split('\n')) {
      if (line !== '') this.#apply(JSON.parse(line) as Transaction);
    }
    this.#file = openSync(path, 'a');
    ftruncateSync(this.#file, whole.length);
  }

  coverage(streamId: string): readonly Cover[] {
    return this.#coverage.get(streamId) ?? [];
  }

  /**
   * Durable when it returns. Entries and gaps are trimmed to what is new before they are written; tells how
   * many entries were new.
   */
  commit(transaction: Transaction): number {
    const trimmed = { ...transaction, rows: this.#newRows(transaction), gaps: this.#newGaps(transaction) };
    writeSync(this.#file, `${JSON.stringify(trimmed, withoutBigint)}\n`);
    fsyncSync(this.#file);
    this.#apply(trimmed);
    return trimmed.rows.reduce((sum, { entries }) => sum + entries.length, 0);
  }

  #newRows({ rows = [] }: Transaction): NonNullable<Transaction['rows']> {
    return rows.flatMap((row) => {
      if (row.repair === true) return [row];
      const data = this.coverage(row.streamId).filter(({ state }) => state === 'data');
      const entries = row.entries.filter(({ sequence }) => {
        return !data.some(({ first, last }) => first <= sequence && sequence <= last);
      });
      return entries.length === 0 ? [] : [{ ...row, entries }];
    });
  }

  /** A record for each run of numbers that nothing covers. */
  #newGaps({ gaps = [], rows = [] }: Transaction): GapRecord[] {
    return gaps.flatMap((gap) => {
      let coverage = this.coverage(gap.streamId);
      for (const { streamId, entries } of rows) {
        if (streamId === gap.streamId) coverage = withEntries(coverage, entries);
      }
      const { changed } = covered(coverage, { ...gap, state: gap.reason });
      const size = gap.last - gap.first + 1;
      const left = changed.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      return changed.map(({ first, last }) => {
        const countAtMost = Math.min(last - first + 1, Math.max(0, gap.countAtMost - (size - left)));
        return { ...gap, first, last, countAtMost };
      });
    });
  }

  #apply({ streams = [], ended = [], observed = [], dictionary, rows = [], gaps = [] }: Transaction): void {
    for (const stream of streams) {
      if (!this.streams.has(stream.streamId)) this.streams.set(stream.streamId, stream);
    }
    for (const { streamId, last } of ended) this.ended.set(streamId, last);
    for (const { streamId, untilUs } of observed) {
      this.observedUntilUs.set(streamId, Math.max(untilUs, this.observedUntilUs.get(streamId) ?? 0));
    }
    if (dictionary !== undefined) this.dictionaries.set(dictionary.hash, dictionary.content);
    for (const { streamId, entries } of rows) {
      this.#coverage.set(streamId, withEntries(this.coverage(streamId), entries));
    }
    for (const gap of gaps) {
      const { coverage } = covered(this.coverage(gap.streamId), { ...gap, state: gap.reason });
      this.#coverage.set(gap.streamId, coverage);
    }
  }
}

function withEntries(coverage: readonly Cover[], entries: readonly Entry[]): readonly Cover[] {
  let result = coverage;
  const runs: { first: number; last: number }[] = [];
  for (const { sequence } of entries) {
    const run = runs.at(-1);
    if (run?.last === sequence - 1) run.last = sequence;
    else runs.push({ first: sequence, last: sequence });
  }
  for (const run of runs) result = covered(result, { ...run, state: 'data' }).coverage;
  return result;
}
