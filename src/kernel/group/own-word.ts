import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { Clock } from '../../world/clock.ts';
import type { ReignKeeper } from './reign-keeper.ts';

/** What a Kernel says of itself, with what it has read of a connection. */
export function ownWord(
  {
    settings,
    keeper,
    clock,
  }: { readonly settings: KernelGroupSettings; readonly keeper: ReignKeeper; readonly clock: Clock },
  said: Pick<KernelWord, 'takesSessions' | 'receivedBytes'>,
): KernelWord {
  const { reign, identity } = keeper;
  const word = { name: settings.name, reign, ...said, wallUs: clock.wallUs() };
  return identity === '' ? word : { ...word, identity };
}
