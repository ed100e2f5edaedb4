import type { Backlog } from './backlog.ts';

/**
 * Everything that is held and not acknowledged becomes a `dropped` gap and is not sent. Resolves to how many
 * numbers that are. @throws KomError KOM_STORE_WRITE
 */
export async function dropHeld(backlog: Backlog, nowUs: number): Promise<number> {
  let dropped = 0;
  for (const { info, held, heldFromUs } of backlog.streams()) {
    for (const { first: firstSequence, last } of held) {
      const count = last - firstSequence + 1;
      const span = { firstSequence, count, fromUs: Math.min(heldFromUs, nowUs), toUs: nowUs };
      await backlog.reject({ streamId: info.streamId, ...span }, 'dropped');
      dropped += count;
    }
  }
  return dropped;
}
