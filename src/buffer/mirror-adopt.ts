import { isKomError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import type { Disk } from '../world/store.ts';
import { type MirrorSegment, scanMirrorSegment } from './mirror-segment.ts';
import { forgottenStream } from './mirrored-stream.ts';
import { emptySegment, segmentName } from './segment.ts';
import type { SegmentStores } from './segment-stores.ts';

/** Positions begin anew in each segment of a mirror: nothing compares them. */
export const FIRST_POSITION = 1;

export interface AdoptOptions {
  readonly disk: Disk;
  readonly stores: SegmentStores;
  readonly ownerInstance: number;
  readonly log: Log;
}

/**
 * Reads a segment that was not sealed, or that nobody knows of, repaired if need be. `null`: nothing of it
 * can be used, and it is deleted. @throws KomError KOM_STORE_WRITE where the disk takes nothing
 */
export async function adoptSegment(number: number, options: AdoptOptions): Promise<MirrorSegment | null> {
  const { disk, stores, ownerInstance, log } = options;
  const name = segmentName(number);
  for (const attempt of ['open', 'repair'] as const) {
    try {
      if (attempt === 'repair') await disk.repair(name);
      const empty = { ...emptySegment(number, FIRST_POSITION), state: 'sealed' as const };
      const { facts, streams } = await scanMirrorSegment(await stores.reader(number), empty);
      const told = new Set(streams.map(({ info }) => info.streamId));
      const untold = facts.runs.filter(({ streamId }) => !told.has(streamId));
      const forgotten = untold.map((run) => forgottenStream(run.streamId, run.fromUs, ownerInstance));
      const bytes = Math.max(facts.bytes, await disk.usedBytes(name));
      return { facts: { ...facts, bytes }, streams: [...streams, ...forgotten] };
    } catch (error) {
      if (!isKomError(error)) throw error;
      log.warn({ name, attempt, error: error.message }, 'a mirrored segment does not open');
    } finally {
      await stores.release(number);
    }
  }
  await disk.remove(name);
  log.error({ name }, 'a mirrored segment is lost: what it held is with its owner only');
  return null;
}
