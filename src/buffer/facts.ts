import type { Dictionary } from '../domain/dictionary.ts';
import type { LostByReason, SequenceGap } from '../domain/gap.ts';
import type { StoreRecord } from '../world/store.ts';
import type { StreamRecord } from './chain.ts';
import { positionKey } from './record.ts';
import type { RingPosition } from './ring.ts';
import type { SegmentFacts } from './segment.ts';
import type { SegmentStores } from './segment-stores.ts';
import type { LedgerSpan, ToldGap } from './told-gaps.ts';

/** What a ring knows about itself; plain data that survives JSON. */
export interface RingFacts {
  /** By age. */
  readonly streams: readonly StreamRecord[];
  /** By number; none that is to be deleted. */
  readonly segments: readonly SegmentFacts[];
  /** Losses that no Kernel has acknowledged. */
  readonly gaps: readonly SequenceGap[];
  /** Samples declared lost since the ring was made, by reason. */
  readonly lost: LostByReason;
  /** The last ones of the losses that a Kernel acknowledged, oldest first. */
  readonly told: readonly ToldGap[];
  /** How far `lost` and `told` go back; `null` in a ring that no program of this version started yet. */
  readonly ledger: LedgerSpan | null;
}

/** Something of a ring at rest that cannot be looked at. */
export interface RingDamage {
  /** Name of a directory. */
  readonly place: string;
  readonly what: string;
}

/** A ring that is looked at and not changed: here, on a disk without an agent, or through an agent. */
export interface RingInspection {
  /** Beside what is met when segments are read. None where an agent runs: it has declared what it lost. */
  readonly damages: readonly RingDamage[];
  facts(): Promise<RingFacts>;
  /** See `Ring.records`. */
  records(segment: number, after: RingPosition, limitBytes: number): Promise<readonly StoreRecord[] | null>;
  /** @throws KomError KOM_DICTIONARY_CORRUPT where the ring does not hold it whole */
  dictionary(hash: string): Promise<Dictionary>;
}

/** Records of a segment's blocks, behind a position. @throws KomError KOM_STORE_READ, KOM_STORE_OPEN */
export async function recordsBehind(
  stores: Pick<SegmentStores, 'reader'>,
  { segment, after, limitBytes }: { segment: number; after: RingPosition; limitBytes: number },
): Promise<readonly StoreRecord[]> {
  const store = await stores.reader(segment);
  return await store.read({
    gt: positionKey(after),
    lte: positionKey(Number.MAX_SAFE_INTEGER),
    limitBytes,
  });
}
