import type { Block } from '../domain/block/block.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { Store } from '../world/store.ts';
import type { StreamRecord } from './chain.ts';
import { decodeBlockRecord, dictionaryHashOf, positionKey, positionOf } from './record.ts';
import { gapsOfRanges, lastOf, type SegmentFacts, withBlock, withUnreadable } from './segment.ts';

const READ_BYTES = 1024 * 1024;

export interface Scan {
  readonly facts: SegmentFacts;
  /** What could not be read between blocks that could. */
  readonly lost: readonly SequenceGap[];
}

/**
 * Reads the blocks of a segment behind those that its facts know of, and which dictionaries it has. `stream`
 * is the one that may have blocks there without `facts` having any; it bounds what an unreadable block at the
 * front can have held.
 * @throws KomError KOM_STORE_READ
 */
export async function scanSegment(
  store: Store,
  facts: SegmentFacts,
  stream?: Pick<StreamRecord, 'info' | 'durableThrough'>,
): Promise<Scan> {
  let known = facts;
  let isTorn = false;
  const lost: SequenceGap[] = [];
  for (;;) {
    const records = await store.read({
      gt: positionKey(known.lastPosition),
      lte: positionKey(Number.MAX_SAFE_INTEGER),
      limitBytes: READ_BYTES,
    });
    if (records.length === 0) {
      return { facts: { ...known, dictionaries: await dictionariesOf(store) }, lost };
    }
    for (const { key, value } of records) {
      const position = positionOf(key) ?? known.lastPosition + 1;
      while (known.lastPosition + 1 < position) {
        known = withUnreadable(known);
        isTorn = true;
      }
      const block = decodeBlockRecord(value);
      const before = highestOf(known, stream, block?.header.streamId);
      if (block === undefined || block.header.firstSequence <= before) {
        known = withUnreadable(known);
        isTorn = true;
        continue;
      }
      if (isTorn && block.header.firstSequence > before + 1) {
        const range = { first: before + 1, last: block.header.firstSequence - 1 };
        lost.push(...gapsOfRanges(spanBefore(known, block), [range], 'corrupt'));
      }
      isTorn = false;
      known = withBlock(known, block);
    }
  }
}

/** What could not be read before a block is as old as what was read before it, or younger. */
function spanBefore(facts: SegmentFacts, { header }: Block): Parameters<typeof gapsOfRanges>[0] {
  const { streamId, fromUs, toUs } = header;
  const run = facts.runs.at(-1);
  const isOfRun = run !== undefined && run.streamId === streamId;
  return { streamId, fromUs: isOfRun ? Math.min(run.toUs, fromUs) : fromUs, toUs };
}

/** Hashes of the dictionaries in a segment: one may have come with a block behind the known ones. */
async function dictionariesOf(store: Store): Promise<string[]> {
  const records = await store.read({ gt: positionKey(Number.MAX_SAFE_INTEGER) });
  return records.flatMap(({ key }) => dictionaryHashOf(key) ?? []);
}

/** Highest sequence of a stream that is known to be stored before the scan got here; 0 for none. */
function highestOf(
  facts: SegmentFacts,
  stream: Pick<StreamRecord, 'info' | 'durableThrough'> | undefined,
  streamId: string | undefined,
): number {
  const run = facts.runs.at(-1);
  if (run !== undefined && run.streamId === streamId) return lastOf(run);
  return stream?.info.streamId === streamId ? (stream?.durableThrough ?? 0) : 0;
}
