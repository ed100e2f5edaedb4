import { invariant, isKomError } from '../domain/errors.ts';
import { segmentBytesOf } from '../domain/segment-size.ts';
import { FIRST_SEQUENCE, type StreamInfo } from '../domain/stream.ts';
import type { Disk } from '../world/store.ts';
import { previousOf, type StreamRecord } from './chain.ts';
import { type CoreSetup, RingCore } from './core.ts';
import { DurableRing } from './durable-ring.ts';
import { LateRing } from './late-ring.ts';
import { type MetaState, openMeta } from './meta.ts';
import { Quarantine } from './quarantine.ts';
import { recover } from './recover.ts';
import type { Ring, RingOptions } from './ring.ts';
import { SegmentStores } from './segment-stores.ts';
import { SyncTimes } from './sync-times.ts';

/** A smaller ring has segments smaller than a block. Above 32 MB the disk bound of README.md holds. */
export const RING_CAPACITY_BYTES_MIN = 64 * 1024;
/** Of the capacity, at most, for what is damaged. */
export const QUARANTINE_SHARE = 0.2;

/**
 * Opens the ring on a disk, whatever its state, and starts a stream. When it resolves, the stream of this run
 * is durable and what became of the streams before it is known; on a disk that takes no write the stream is
 * volatile instead, and `Ring.minted` tells when that ends.
 * @throws KomError KOM_STORE_LOCKED if a living process holds it
 */
export async function openRing(disk: Disk, options: RingOptions): Promise<Ring> {
  invariant(options.capacityBytes >= RING_CAPACITY_BYTES_MIN, 'the ring is large enough for its segments');
  const stream: StreamInfo = {
    streamId: options.mintStreamId(),
    bootId: options.bootId,
    startedAtUs: options.clock.wallUs(),
    previous: null,
  };
  try {
    return await openDurable(disk, options, { stream, isLate: false });
  } catch (error) {
    if (!isKomError(error) || error.code === 'KOM_STORE_LOCKED') throw error;
    options.log.error(
      { error: error.message },
      'the disk takes no write: the ring starts in memory, and opens when the disk does',
    );
    const open = () => openDurable(disk, options, { stream, isLate: true });
    return new LateRing({ options, stream, error: error.message, open });
  }
}

interface Start {
  readonly stream: StreamInfo;
  /** Samples of the stream may have been sent already. */
  readonly isLate: boolean;
}

async function openDurable(disk: Disk, options: RingOptions, start: Start): Promise<Ring> {
  const { capacityBytes, segmentBytesMax, clock, log } = options;
  const syncTimes = new SyncTimes(clock);
  const quarantine = new Quarantine(disk, { bytesMax: capacityBytes * QUARANTINE_SHARE, log });
  const segmentBytes = segmentBytesOf(capacityBytes, segmentBytesMax);
  const stores = new SegmentStores(disk, segmentBytes);
  const { meta, isWhole } = await openMeta(disk, (name) => quarantine.take(name), { log, syncTimes });
  const setup: CoreSetup = { disk, options, segmentBytes, stores, quarantine, syncTimes, meta };
  try {
    const state = withLedger(await recover(setup, isWhole), { atUs: clock.wallUs(), isWhole });
    const { streamId } = start.stream;
    const others = state.streams.filter((each) => each.info.streamId !== streamId);
    const record = newStream(others, options, start);
    await meta.commit({ ...state, streams: [...others, record] });
    const core = new RingCore(setup, record);
    if (start.isLate) core.lapse();
    await core.sweep();
    await quarantine.trim();
    return new DurableRing(core);
  } catch (error) {
    await stores.close().catch(() => undefined);
    await meta.close().catch(() => undefined);
    throw error;
  }
}

/** The state with the span of its ledger, which begins now where there was none or some of it is lost. */
function withLedger(state: MetaState, { atUs, isWhole }: { atUs: number; isWhole: boolean }): MetaState {
  const { ledger } = state.totals;
  if (ledger !== undefined && isWhole) return state;
  // A ring that held something before it had a ledger is one whose meta database was lost, or an older one.
  const isRebuilt = !isWhole || state.streams.length > 0;
  const pushedOut = ledger?.pushedOut ?? 0;
  return { ...state, totals: { ...state.totals, ledger: { sinceUs: atUs, isRebuilt, pushedOut } } };
}

/** Also where an attempt before this one failed and its batch is there after all: then it replaces that. */
function newStream(others: readonly StreamRecord[], options: RingOptions, start: Start): StreamRecord {
  const last = others.at(-1);
  const aliveUntilUs = last?.ended?.atUs;
  // A late one was told to a Kernel already, as it started.
  const isTold = start.isLate || aliveUntilUs === undefined;
  const startedAtUs = isTold
    ? undefined
    : options.startTimeUs?.({ aliveUntilUs, clock: last?.clock ?? null });
  const stream = startedAtUs === undefined ? start.stream : { ...start.stream, startedAtUs };
  return {
    ordinal: (last?.ordinal ?? 0) + 1,
    info: { ...stream, previous: previousOf(last) },
    lostAtMost: options.lostAtMost,
    ackedThrough: 0,
    isKnown: false,
    durableThrough: 0,
    evictedThrough: 0,
    nextSequence: FIRST_SEQUENCE,
    // What was not observed before this run is declared within it, and must be again if it is cut off first.
    // Until its first alive mark it knows no more than that one did, of its clock as little.
    aliveUntilUs: last?.ended?.atUs ?? stream.startedAtUs,
    ...(last?.clock && { clock: { saved: last.clock.saved, eras: [], through: 0 } }),
    ended: null,
  };
}
