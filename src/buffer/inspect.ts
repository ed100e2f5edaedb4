import type { Dictionary } from '../domain/dictionary.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import type { Disk, StoreRecord } from '../world/store.ts';
import { type RingFacts, type RingInspection, recordsBehind } from './facts.ts';
import { decodeDictionaryRecord, dictionaryKey } from './record.ts';
import type { Ring, RingPosition } from './ring.ts';
import { segmentName, segmentNumber } from './segment.ts';
import { SegmentStores } from './segment-stores.ts';
import { surveyRing } from './survey.ts';

/** Buffers as the ring has them for its largest segments, so that LevelDB makes one table of a log. */
const SEGMENT_BYTES = 8_000_000;

/**
 * Looks at a ring that no process uses: no stream is minted, nothing is evicted, repaired or declared. Only
 * LevelDB's own recovery may rewrite its files. Holds the databases it reads, one at a time, until closed.
 * @throws KomError KOM_STORE_LOCKED if an agent runs, KOM_STORE_OPEN where no ring is or nothing of it opens
 */
export async function inspectRing(disk: Disk): Promise<RingInspection & AsyncDisposable> {
  const stores = new SegmentStores(disk, SEGMENT_BYTES);
  const { state, damages } = await surveyRing(disk, stores).catch(async (error: unknown) => {
    await stores.close();
    throw error;
  });
  const present = new Set((await disk.list()).map(segmentNumber));
  const segments = state.segments.filter(
    (each) => each.state !== 'doomed' && (each.blocks > 0 || present.has(each.number)),
  );
  const { streams, gaps, told, totals } = state;
  const ledger = totals.ledger ?? null;
  const facts: RingFacts = { streams, segments, gaps, told, lost: totals.lost, ledger };
  return {
    damages,
    facts: async () => facts,
    records: async (segment: number, after: RingPosition, limitBytes: number) => {
      if (!present.has(segment)) {
        throw new KomError('KOM_STORE_OPEN', segmentName(segment), { got: 'a deleted directory' });
      }
      return await recordsBehind(stores, { segment, after, limitBytes });
    },
    dictionary: async (hash) => {
      for (const { number, dictionaries } of segments) {
        if (!dictionaries.includes(hash) || !present.has(number)) continue;
        const bytes = await dictionaryIn(stores, number, hash);
        if (bytes !== undefined) return decodeDictionary(hash, bytes);
      }
      throw noDictionary(hash);
    },
    [Symbol.asyncDispose]: () => stores.close(),
  };
}

/** `undefined` also where the segment does not read: another one may have it too. */
async function dictionaryIn(
  stores: SegmentStores,
  number: number,
  hash: string,
): Promise<Uint8Array | undefined> {
  try {
    const value = await (await stores.reader(number)).get(dictionaryKey(hash));
    return value === undefined ? undefined : decodeDictionaryRecord(value);
  } catch (error) {
    if (isKomError(error)) return undefined;
    throw error;
  }
}

/** Looks at a ring that is in use, in between its own work. */
export function inspectionOf(ring: Ring): RingInspection {
  return {
    damages: [],
    facts: async () => ring.facts(),
    records: (segment, after, limitBytes): Promise<readonly StoreRecord[] | null> =>
      ring.records(segment, after, limitBytes),
    dictionary: async (hash): Promise<Dictionary> => {
      const bytes = await ring.dictionary(hash);
      if (bytes === undefined) throw noDictionary(hash);
      return decodeDictionary(hash, bytes);
    },
  };
}

function noDictionary(hash: string): KomError {
  return new KomError('KOM_DICTIONARY_CORRUPT', `no segment holds dictionary ${hash}`);
}
