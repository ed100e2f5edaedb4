import type { StreamClock } from '../buffer/ring.ts';
import { isKomError } from '../domain/errors.ts';
import type { Uplink } from '../uplink/uplink.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { ClassStore } from './class-store.ts';

/** A clean stop waits so long for the Kernel to take the last blocks before they go to the ring. */
const FAREWELL_MS = 500;
const FAREWELL_CHECK_MS = 20;

/** While the Kernel takes blocks, it may take the last ones too. */
export async function farewell(stores: readonly ClassStore[], clock: Clock): Promise<void> {
  const endMs = clock.monotonicMs() + FAREWELL_MS;
  const isDelivering = (): boolean =>
    stores.some(({ backlog }) => backlog.state === 'online' && backlog.stat().samples > 0);
  while (isDelivering() && clock.monotonicMs() < endMs) await clock.sleep(FAREWELL_CHECK_MS);
}

export interface StreamClosing {
  /** Until then it was observed, integer µs. */
  readonly endedAtUs: number;
  readonly streamClock: StreamClock;
  /** A store did not tell yet whether there was a run before this one. */
  readonly isUntold: boolean;
  readonly uplink: Uplink;
  readonly log: Log;
}

/** Writes what is in memory, and the clean end of the stream if all of it is safe. */
export async function endStream(store: ClassStore, closing: StreamClosing): Promise<void> {
  const { backlog, ring, producedTo: lastSequence } = store;
  const { endedAtUs, streamClock, isUntold, uplink, log } = closing;
  if (!(await backlog.close()) || isUntold) {
    // Without an end the next start tells of a crash, and the Kernel declares what is lost now.
    log.error({ lastSequence }, 'the disk did not take what is in memory: the stream stays without an end');
    return;
  }
  try {
    await ring.endStream(lastSequence, endedAtUs, streamClock);
    await uplink.sendStreamEnd({ streamId: ring.stream.streamId, lastSequence, endedAtUs });
  } catch (error) {
    if (!isKomError(error)) throw error;
    log.error({ code: error.code, error: error.message }, 'the clean end could not be told');
  }
}
