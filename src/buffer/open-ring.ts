import { invariant, isKomError, KomError } from '../domain/errors.ts';
import { FIRST_SEQUENCE, type StreamInfo } from '../domain/stream.ts';
import type { Disk } from '../world/store.ts';
import { previousOf, type StreamRecord } from './chain.ts';
import { type CoreSetup, RingCore } from './core.ts';
import { DurableRing } from './durable-ring.ts';
import { type MetaState, openMeta } from './meta.ts';
import { Quarantine } from './quarantine.ts';
import { recover } from './recover.ts';
import type { Ring, RingOptions } from './ring.ts';
import { SegmentStores } from './segment-stores.ts';
import { SyncTimes } from './sync-times.ts';

/** A smaller ring has segments smaller than a block. Above 32 MB the disk bound of README.md holds. */
export const RING_CAPACITY_BYTES_MIN = 64 * 1024;
/** A segment is a tenth of the ring, and no larger than what its write buffer may take of the memory. */
const SEGMENTS_MIN = 10;
const SEGMENT_BYTES_MAX = 8_000_000;
const QUARANTINE_SHARE = 0.2;

/**
 * Opens the ring on a disk, whatever its state, and starts a stream: when it resolves, the stream of this
 * run is durable, and what became of the streams before it is known.
 * @throws KomError KOM_STORE_LOCKED if a living process holds it, KOM_STORE_OPEN if nothing can be written
 */
export async function openRing(disk: Disk, options: RingOptions): Promise<Ring> {
  const { capacityBytes, clock, log } = options;
  invariant(capacityBytes >= RING_CAPACITY_BYTES_MIN, 'the ring is large enough for its segments');
  const syncTimes = new SyncTimes(clock);
  const quarantine = new Quarantine(disk, { bytesMax: capacityBytes * QUARANTINE_SHARE, log });
  const segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.floor(capacityBytes / SEGMENTS_MIN));
  const stores = new SegmentStores(disk, segmentBytes);
  const { meta, isWhole } = await openMeta(disk, (name) => quarantine.take(name), { log, syncTimes });
  const setup: CoreSetup = { disk, options, segmentBytes, stores, quarantine, syncTimes, meta };
  try {
    const state = await recover(setup, isWhole);
    const record = newStream(state, options);
    await meta.commit({ ...state, streams: [...state.streams, record] });
    const core = new RingCore(setup, record);
    await core.sweep();
    await quarantine.trim();
    return new DurableRing(core);
  } catch (error) {
    await stores.close().catch(() => undefined);
    await meta.close().catch(() => undefined);
    if (!isKomError(error) || error.code === 'KOM_STORE_LOCKED') throw error;
    throw new KomError('KOM_STORE_OPEN', 'the ring', { got: error.message, cause: error });
  }
}

function newStream(state: MetaState, options: RingOptions): StreamRecord {
  const last = state.streams.at(-1);
  const startedAtUs = options.clock.wallUs();
  const info: StreamInfo = {
    streamId: options.mintStreamId(),
    bootId: options.bootId,
    startedAtUs,
    previous: previousOf(last),
  };
  invariant(
    state.streams.every((each) => each.info.streamId !== info.streamId),
    'a stream is minted once',
  );
  return {
    ordinal: (last?.ordinal ?? 0) + 1,
    info,
    lostAtMost: options.lostAtMost,
    ackedThrough: 0,
    isKnown: false,
    durableThrough: 0,
    evictedThrough: 0,
    nextSequence: FIRST_SEQUENCE,
    aliveUntilUs: startedAtUs,
    ended: null,
  };
}
