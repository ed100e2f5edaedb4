import type { Channel } from '../uplink/channel.ts';
import type { Archive } from '../world/archive.ts';
import type { DictionaryShelf } from './dictionary-shelf.ts';

/**
 * Ends every session when the archive has lost something, see `Archive.whenRegressed`: with new ones the
 * agents hear what it has, and send again what they still hold.
 */
export function endWhenLost(
  archive: Archive,
  server: { readonly dictionaries: DictionaryShelf; readonly channels: ReadonlySet<Channel> },
): void {
  archive.whenRegressed?.(() => {
    server.dictionaries.forget();
    for (const channel of server.channels) channel.bye('unspecified', 'the archive has lost something');
  });
}
