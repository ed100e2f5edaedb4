import type { Reading } from '../../domain/sample.ts';
import type { LinkBatch, UnseenInterval } from '../driver.ts';

/** Readings that may wait for the agent before older ones are given up; or four per tag, if that is more. */
const WAITING_MIN = 20_000;
const WAITING_PER_TAG = 4;

/**
 * What was notified and not yet pulled. Bounded: at the bound only the newest reading of each tag is kept,
 * and what was dropped before it is declared unseen (`overload`), so the present is never stale.
 */
export class Inbox implements AsyncIterable<LinkBatch> {
  readonly #waitingMax: number;
  readonly #takenTimeUs = new Map<number, number>();
  #batches: LinkBatch[] = [];
  #waiting = 0;
  #ended: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** @param tagCount tags of the line */
  constructor(tagCount: number) {
    this.#waitingMax = Math.max(WAITING_MIN, WAITING_PER_TAG * tagCount);
  }

  put(batch: LinkBatch): void {
    if (this.#ended !== undefined) return;
    const last = this.#batches.at(-1);
    const { station, observedSinceUs } = batch;
    const isAlike = last?.station === station && last.observedSinceUs === observedSinceUs;
    if (last !== undefined && isAlike && isOnlyKeepAlive(last)) {
      this.#batches.pop();
      this.#waiting -= 1;
      this.#append({ ...batch, ...latestUnchanged([last, batch]) });
    } else {
      this.#append(batch);
    }
    if (this.#waiting > this.#waitingMax) this.#conflate();
    this.#wake?.();
  }

  /** The iteration throws `error` after what is waiting; only the first call counts. */
  fail(error: unknown): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  /** The iteration ends at once. */
  close(): void {
    this.#batches = [];
    this.#waiting = 0;
    this.#ended = {};
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LinkBatch> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch !== undefined) {
        this.#waiting -= 1 + batch.readings.length;
        for (const reading of batch.readings) this.#takenTimeUs.set(reading.tagIndex, reading.sourceTimeUs);
        yield batch;
      } else if (this.#ended !== undefined) {
        if ('error' in this.#ended) throw this.#ended.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }

  #append(batch: LinkBatch): void {
    this.#batches.push(batch);
    this.#waiting += 1 + batch.readings.length;
  }

  #conflate(): void {
    const byStation = Map.groupBy(this.#batches, (batch) => batch.station);
    this.#batches = [];
    this.#waiting = 0;
    for (const [station, batches] of byStation) this.#append(this.#merge(station, batches));
  }

  #merge(station: string, batches: readonly LinkBatch[]): LinkBatch {
    const newest = new Map<number, Reading>();
    const lostFromUs = new Map<number, number>();
    for (const reading of batches.flatMap((batch) => batch.readings)) {
      const dropped = newest.get(reading.tagIndex);
      if (dropped !== undefined && !lostFromUs.has(reading.tagIndex)) {
        lostFromUs.set(reading.tagIndex, this.#takenTimeUs.get(reading.tagIndex) ?? dropped.sourceTimeUs);
      }
      newest.set(reading.tagIndex, reading);
    }
    const unseen = joinPerTag(batches.flatMap((batch) => batch.unseen ?? []));
    for (const [tagIndex, fromUs] of lostFromUs) {
      const toUs = Math.max(fromUs, newest.get(tagIndex)?.sourceTimeUs ?? fromUs);
      unseen.push({ tagIndexes: [tagIndex], fromUs, toUs, reason: 'overload' });
    }
    return {
      station,
      readings: [...newest.values()],
      unseen: joinPerTag(unseen),
      // A keep-alive from before queues were told says nothing of what they hold.
      ...latestUnchanged(batches.slice(firstQueued(batches))),
      ...earliestObserved(batches),
    };
  }
}

function isOnlyKeepAlive(batch: LinkBatch): boolean {
  return batch.readings.length === 0 && (batch.unseen?.length ?? 0) === 0;
}

function latestUnchanged(batches: readonly LinkBatch[]): { unchangedUntilUs?: number } {
  const times = batches.flatMap(({ unchangedUntilUs }) => unchangedUntilUs ?? []);
  return times.length === 0 ? {} : { unchangedUntilUs: Math.max(...times) };
}

function firstQueued(batches: readonly LinkBatch[]): number {
  return Math.max(
    0,
    batches.findIndex(({ observedSinceUs }) => observedSinceUs !== undefined),
  );
}

function earliestObserved(batches: readonly LinkBatch[]): { observedSinceUs?: number } {
  const times = batches.flatMap(({ observedSinceUs }) => observedSinceUs ?? []);
  return times.length === 0 ? {} : { observedSinceUs: Math.min(...times) };
}

/** One interval per set of tags and reason, spanning all of its parts. */
function joinPerTag(intervals: readonly UnseenInterval[]): UnseenInterval[] {
  const joined = new Map<string, UnseenInterval>();
  for (const each of intervals) {
    const key = `${each.reason} ${each.tagIndexes.join()}`;
    const before = joined.get(key) ?? each;
    const fromUs = Math.min(before.fromUs, each.fromUs);
    joined.set(key, { ...each, fromUs, toUs: Math.max(before.toUs, each.toUs) });
  }
  return [...joined.values()];
}
