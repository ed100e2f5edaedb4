import type { Dictionary } from '../domain/dictionary.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import { KomError } from '../domain/errors.ts';
import type { Disk, StoreRecord } from '../world/store.ts';
import { type RingFacts, type RingInspection, recordsBehind } from './facts.ts';
import { readMeta } from './meta.ts';
import { decodeDictionaryRecord, dictionaryKey } from './record.ts';
import { scanWhole } from './recover.ts';
import type { Ring, RingPosition } from './ring.ts';
import { scanSegment } from './scan.ts';
import { type SegmentFacts, segmentName, segmentNumber } from './segment.ts';
import { SegmentStores } from './segment-stores.ts';

/** Buffers as the ring has them for its largest segments, so that LevelDB makes one table of a log. */
const SEGMENT_BYTES = 8_000_000;

/**
 * Looks at a ring that no process uses: no stream is minted, nothing is evicted, repaired or declared. Only
 * LevelDB's own recovery may rewrite its files. Holds the databases it reads, one at a time, until closed.
 * @throws KomError KOM_STORE_LOCKED if an agent runs, KOM_STORE_OPEN where no ring is or meta is damaged
 */
export async function inspectRing(disk: Disk): Promise<RingInspection & AsyncDisposable> {
  const names = await disk.list();
  const numbers = names.flatMap((name) => segmentNumber(name) ?? []);
  const stores = new SegmentStores(disk, SEGMENT_BYTES);
  const state = await readMeta(disk);
  if (state === null && numbers.length === 0) {
    throw new KomError('KOM_STORE_OPEN', 'there is no ring in this directory');
  }
  const listed = state?.segments.filter((each) => each.state !== 'doomed') ?? [];
  const segments: SegmentFacts[] = [];
  for (const number of numbers) {
    const known = listed.find((each) => each.number === number);
    if (known?.state === 'sealed') segments.push(known);
    else if (known !== undefined) {
      const { facts } = await scanSegment(await stores.reader(number), known, state?.streams.at(-1));
      segments.push(facts);
    } else if (state === null) segments.push((await scanWhole(await stores.reader(number), number)).facts);
  }
  // A segment whose directory is gone stays listed: reading it is then the problem that is told.
  const missing = listed.filter((each) => each.blocks > 0 && !numbers.includes(each.number));
  const facts: RingFacts = {
    streams: state?.streams ?? [],
    segments: [...segments, ...missing].sort((a, b) => a.number - b.number),
    gaps: state?.gaps ?? [],
    lost: state?.totals.lost ?? {},
    told: state?.told ?? [],
    ledger: state?.totals.ledger ?? null,
  };
  return {
    facts: async () => facts,
    records: async (segment: number, after: RingPosition, limitBytes: number) => {
      if (!numbers.includes(segment)) {
        throw new KomError('KOM_STORE_OPEN', segmentName(segment), { got: 'a deleted directory' });
      }
      return await recordsBehind(stores, { segment, after, limitBytes });
    },
    dictionary: async (hash) => {
      for (const { number, dictionaries } of segments) {
        if (!dictionaries.includes(hash)) continue;
        const value = await (await stores.reader(number)).get(dictionaryKey(hash));
        const bytes = value === undefined ? undefined : decodeDictionaryRecord(value);
        if (bytes !== undefined) return decodeDictionary(hash, bytes);
      }
      throw noDictionary(hash);
    },
    [Symbol.asyncDispose]: () => stores.close(),
  };
}

/** Looks at a ring that is in use, in between its own work. */
export function inspectionOf(ring: Ring): RingInspection {
  return {
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
