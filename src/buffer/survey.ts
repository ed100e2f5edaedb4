import { isKomError, KomError } from '../domain/errors.ts';
import { type Disk, isWithheld } from '../world/store.ts';
import type { RingDamage } from './facts.ts';
import { META_NAME, type MetaState, readMeta } from './meta.ts';
import { isEmpty, overlaps, scanWhole, withNamedStreams, withScanned } from './recover.ts';
import { type Scan, scanSegment } from './scan.ts';
import { type SegmentFacts, segmentName, segmentNumber } from './segment.ts';
import type { SegmentStores } from './segment-stores.ts';

/** A ring at rest, as far as it can be seen without changing it. */
export interface Survey {
  /** As a start would find it; a segment that does not read stays listed where meta tells of its blocks. */
  readonly state: MetaState;
  /** What cannot be looked at, and is not met when the segments of `state` are read. */
  readonly damages: readonly RingDamage[];
}

/**
 * Looks at a ring that no process uses: what meta tells, what the open segment got since, and segments that
 * meta does not know. Nothing is repaired, set aside or declared.
 * @throws KomError KOM_STORE_LOCKED, KOM_STORE_DENIED; KOM_STORE_OPEN where no ring is, or nothing of it
 * opens
 */
export async function surveyRing(disk: Disk, stores: SegmentStores): Promise<Survey> {
  const names = await disk.list();
  const numbers = names.flatMap((name) => segmentNumber(name) ?? []);
  if (numbers.length === 0 && !names.includes(META_NAME)) {
    throw new KomError('KOM_STORE_OPEN', 'there is no ring in this directory');
  }
  const meta = await readMeta(disk);
  const damages: RingDamage[] = meta.damage === null ? [] : [{ place: META_NAME, what: meta.damage }];
  let isAnythingRead = meta.damage === null;
  let state = withNamedStreams(meta.state);
  const unlisted: string[] = [];
  for (const number of numbers) {
    const known = meta.state.segments.find((each) => each.number === number);
    if (known !== undefined && known.state !== 'open') continue;
    const place = segmentName(number);
    try {
      const store = await stores.reader(number);
      const scan =
        known === undefined
          ? await scanWhole(store, number)
          : await scanSegment(store, known, meta.state.streams.at(-1));
      isAnythingRead = true;
      if (known === undefined && isEmpty(scan)) continue;
      const why = known === undefined ? whyUnusable(state, scan) : null;
      if (why !== null) {
        damages.push({ place, what: why });
        continue;
      }
      if (known === undefined) unlisted.push(place);
      state = withScanned(state, { facts: await asFound(disk, known, scan), lost: [] });
    } catch (error) {
      if (!isKomError(error) || isWithheld(error)) throw error;
      const isListed = known !== undefined && known.blocks > 0;
      if (!isListed) damages.push({ place, what: `it does not read: ${error.message}` });
    }
  }
  if (meta.damage === null && unlisted.length > 0) {
    damages.push({ place: META_NAME, what: `it has forgotten ${unlisted.join(', ')}, and maybe more` });
  }
  if (!isAnythingRead) throw new KomError('KOM_STORE_OPEN', 'the ring', { got: damages[0]?.what ?? '' });
  return { state, damages };
}

/** What a start does not take in; `null`: it does. */
function whyUnusable(state: MetaState, { facts }: Scan): string | null {
  if (facts.blocks === 0) return 'meta does not list it, and no block of it reads';
  return overlaps(state, facts) ? 'meta does not list it, and its positions are taken' : null;
}

async function asFound(disk: Disk, known: SegmentFacts | undefined, { facts }: Scan): Promise<SegmentFacts> {
  if (known !== undefined) return facts;
  const bytes = Math.max(facts.bytes, await disk.usedBytes(segmentName(facts.number)));
  return { ...facts, state: 'sealed', bytes };
}
