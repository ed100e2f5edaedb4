import type { Channel } from '../uplink/channel.ts';
import type { Archive } from '../world/archive.ts';
import type { DictionaryShelf } from './dictionary-shelf.ts';
import type { IngestWatcher } from './ingest.ts';
import type { LostValues } from './lost-values.ts';

/**
 * Ends every session when the archive has lost something, see `Archive.whenRegressed`: with new ones the
 * agents hear what it has, and send again what they still hold.
 */
export function endWhenLost(
  archive: Archive,
  server: {
    readonly dictionaries: DictionaryShelf;
    readonly channels: ReadonlySet<Channel>;
    readonly lostValues: Pick<LostValues, 'compare'>;
  },
): void {
  archive.whenRegressed?.(() => {
    server.dictionaries.forget();
    server.lostValues.compare(archive);
    for (const channel of server.channels) channel.bye('unspecified', 'the archive has lost something');
  });
}

/**
 * The same watcher, beside which is noted what is archived, and what agents declare that it has lost. What
 * they declared elsewhere, years ago maybe, was an alarm there.
 */
export function whichNotesLost(
  archive: Archive,
  lostValues: Pick<LostValues, 'committed'>,
  watcher: IngestWatcher,
): IngestWatcher {
  return {
    record: (blocks) => watcher.record(blocks),
    committed: (transaction, declared) => {
      lostValues.committed({ blocks: transaction.blocks, gaps: declared }, archive);
      watcher.committed(transaction, declared);
    },
  };
}
