import { ForwardRing } from '../../buffer/forward-ring.ts';
import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import { segmentBytesOf } from '../../domain/segment-size.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { SideStore } from '../../world/side-store.ts';
import type { Disk } from '../../world/store.ts';
import { ReignKeeper } from './reign-keeper.ts';

/** A Kernel's machine has more memory than a comm server: fewer and larger segments. */
const SEGMENT_BYTES_MAX = 32_000_000;

/** What a Kernel of a group keeps on its disk. @throws KomError KOM_STORE_…: it would not know who is hot */
export async function openGroup(
  disk: Disk,
  settings: Pick<KernelGroupSettings, 'ring'>,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<{ readonly ring: ForwardRing; readonly keeper: ReignKeeper }> {
  const { capacityBytes } = settings.ring;
  const segmentBytes = segmentBytesOf(capacityBytes, SEGMENT_BYTES_MAX);
  const keeper = await ReignKeeper.load(new SideStore(disk, 'notes'));
  const ring = await ForwardRing.open({ disk, capacityBytes, segmentBytes, clock, log });
  return { ring, keeper };
}
