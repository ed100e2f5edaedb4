import { KomError } from '../domain/errors.ts';
import type { Archive } from '../world/archive.ts';
import type { Ingest } from './ingest.ts';
import type { Greeted, LostStores } from './lost-stores.ts';
import { greetingOf } from './stream-owners.ts';

export interface RegistrationOptions {
  readonly archive: Pick<Archive, 'streams'>;
  readonly ingest: Pick<Ingest, 'commit'>;
  readonly lost: LostStores;
  /** A process that has a session now made this stream. */
  readonly isForeign: (streamId: string) => boolean;
}

/**
 * What the chain of an agent tells goes into the archive; resolves to those of its streams that are the
 * agent's. @throws KomError KOM_ARCHIVE_UNAVAILABLE
 */
export async function register(
  greeted: Greeted,
  { archive, ingest, lost, isForeign }: RegistrationOptions,
): Promise<ReadonlySet<string>> {
  const { hello, presence } = greeted;
  if (hello.streams.some(({ ownerInstance }) => ownerInstance !== undefined)) {
    throw new KomError('KOM_PROTOCOL_STATE', 'a Hello names own streams only, MirrorStreams the others');
  }
  const { contribution, ownIds } = greetingOf(greeted, {
    known: await archive.streams(hello.site, hello.process),
    observedUntilUs: (streamId, storedUs) => presence.observedUntilUs(streamId, storedUs),
    isForeign,
  });
  await ingest.commit(contribution);
  // Only now: an earlier Hello of the same instance may have been waiting for the archive as well.
  await lost.declare(greeted);
  return ownIds;
}
