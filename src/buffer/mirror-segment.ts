/** What a mirror's segment is made of: as one of the ring, and the streams that its blocks are of. */
import type { Block } from '../domain/block/block.ts';
import type { EncodedDictionary } from '../domain/dictionary.ts';
import type { Store, StoreWrite } from '../world/store.ts';
import { forgottenStream, type MirroredStream } from './mirrored-stream.ts';
import {
  decodeBlockRecord,
  decodeMetaValue,
  dictionaryHashOf,
  dictionaryKey,
  encodeBlockRecord,
  encodeDictionaryRecord,
  encodeMetaValue,
  positionKey,
  positionOf,
} from './record.ts';
import {
  emptySegment,
  type SegmentFacts,
  withDictionary,
  withForeignBlock,
  withUnreadable,
} from './segment.ts';

const READ_BYTES = 1024 * 1024;
const STREAM_KEY_PREFIX = 0xfe;
/** Positions begin anew in each segment of a mirror: nothing compares them. */
const FIRST_POSITION = 1;

/** A block of the other instance with all that is needed to give it to a Kernel. */
export interface ForeignBlock {
  readonly block: Block;
  /** Not given: nobody knows it any more; a Kernel may. */
  readonly dictionary?: EncodedDictionary;
  readonly stream: MirroredStream;
}

/** A segment of a mirror: it can be told to a Kernel from this alone. */
export interface MirrorSegment {
  readonly facts: SegmentFacts;
  /** Each stream that it has blocks of. */
  readonly streams: readonly MirroredStream[];
}

export function emptyMirrorSegment(number: number): MirrorSegment {
  return { facts: emptySegment(number, FIRST_POSITION), streams: [] };
}

/** Nothing is written to it any more; `usedBytes` on the disk, where that is more than was counted. */
export function sealedMirrorSegment({ facts, streams }: MirrorSegment, usedBytes: number): MirrorSegment {
  return { facts: { ...facts, state: 'sealed', bytes: Math.max(facts.bytes, usedBytes) }, streams };
}

/** The writes that put a block into a segment, and the segment with it. */
export function withForeign(
  segment: MirrorSegment,
  { block, dictionary, stream }: ForeignBlock,
): { readonly segment: MirrorSegment; readonly writes: readonly StoreWrite[] } {
  let { facts, streams } = segment;
  const writes: StoreWrite[] = [];
  if (dictionary !== undefined && !facts.dictionaries.includes(dictionary.hash)) {
    const value = encodeDictionaryRecord(dictionary.bytes);
    writes.push({ type: 'put', key: dictionaryKey(dictionary.hash), value });
    facts = withDictionary(facts, dictionary.hash, value.length);
  }
  const { streamId } = stream.info;
  if (!streams.some(({ info }) => info.streamId === streamId)) {
    const key = Uint8Array.from([STREAM_KEY_PREFIX, ...Buffer.from(streamId, 'hex')]);
    writes.push({ type: 'put', key, value: encodeMetaValue(stream) });
    streams = [...streams, stream];
  }
  facts = withForeignBlock(facts, block);
  writes.push({ type: 'put', key: positionKey(facts.lastPosition), value: encodeBlockRecord(block) });
  return { segment: { facts, streams }, writes };
}

/**
 * What a segment holds of which nothing is known, or more than is. `ownerInstance`: of streams whose
 * description is lost. @throws KomError KOM_STORE_READ
 */
export async function scanMirrorSegment(
  store: Store,
  { number, ownerInstance }: { readonly number: number; readonly ownerInstance: number },
): Promise<MirrorSegment> {
  let { facts } = emptyMirrorSegment(number);
  let streams: MirroredStream[] = [];
  let after: Uint8Array | undefined;
  for (;;) {
    const range = after === undefined ? {} : { gt: after };
    const records = await store.read({ ...range, limitBytes: READ_BYTES });
    for (const { key, value } of records) {
      after = key;
      const position = positionOf(key);
      const hash = dictionaryHashOf(key);
      if (hash !== undefined) facts = withDictionary(facts, hash, value.length);
      else if (position === undefined) streams = [...streams, ...streamOf(value)];
      else {
        const block = decodeBlockRecord(value);
        while (facts.lastPosition + 1 < position) facts = withUnreadable(facts);
        facts = block === undefined ? withUnreadable(facts) : withForeignBlock(facts, block);
      }
    }
    if (records.length === 0)
      return { facts, streams: [...streams, ...forgotten(facts, streams, ownerInstance)] };
  }
}

/** Streams of which nothing but blocks is left. */
function forgotten(
  facts: SegmentFacts,
  streams: readonly MirroredStream[],
  ownerInstance: number,
): MirroredStream[] {
  const told = new Set(streams.map(({ info }) => info.streamId));
  return facts.runs
    .filter(({ streamId }) => !told.has(streamId))
    .map((run) => forgottenStream(run.streamId, run.fromUs, ownerInstance));
}

function streamOf(value: Uint8Array): MirroredStream[] {
  const stream = decodeMetaValue(value);
  // The CRC vouches for the shape.
  return stream === undefined ? [] : [stream as MirroredStream];
}
