import { decodeBlock, encodeBlock } from '../../src/domain/block/codec.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { Mark } from '../../src/domain/marks.ts';
import type { BlockEntry } from '../../src/domain/sample.ts';
import type { Archive, ArchiveTransaction } from '../../src/world/archive.ts';

/** A stream of long ago, of a process that runs no more. */
export const PAST = 'f'.repeat(32);
const SITE = 'S';
const PROCESS = 'Q';
const BLOCKS = 24;
const BLOCK_ENTRIES_MAX = 16_384;
export const PAST_TAGS = ['Q.old', 'Q.count', 'Q.new'] as const;

function dictionaryOf(names: readonly string[], unit: string): Dictionary {
  const more = { station: 'Q', class: 'measurement', type: 'float64', unit } as const;
  const tags = names.map((name) => ({ ...more, name, formerly: name === 'Q.new' ? ['Q.old'] : [] }));
  return { site: SITE, process: PROCESS, tags };
}

/** A tag is renamed, and the unit of the other one changes. */
const DICTIONARIES = [dictionaryOf(['Q.old', 'Q.count'], 'A'), dictionaryOf(['Q.count', 'Q.new'], 'kA')];

/**
 * Puts a past into an archive that no forwarding ring holds: samples, time gaps, a clock fix that holds for a
 * part of them, two dictionaries, terms and marks. `endUs`: when it ended, integer µs.
 */
export async function putPast(archive: Archive, count: number, endUs: number): Promise<void> {
  const encoded = DICTIONARIES.map((dictionary) => ({ dictionary, ...encodeDictionary(dictionary) }));
  for (const { hash, bytes, dictionary } of encoded) await archive.putDictionary(hash, bytes, dictionary);
  const startedAtUs = endUs - count * 1000;
  const origin = { site: SITE, process: PROCESS, instance: 1 };
  const stream = { streamId: PAST, bootId: 'b'.repeat(32), startedAtUs, previous: null, ...origin };
  await commit(archive, { streams: [stream], receivedAtUs: startedAtUs });
  const most = Math.min(BLOCK_ENTRIES_MAX, Math.ceil(count / BLOCKS));
  for (let block = 0; block * most < count; block++) {
    const first = 1 + block * most;
    const isLater = first > count / 2;
    const [before, behind] = encoded;
    const used = isLater ? behind : before;
    if (used === undefined) return;
    const timeUs = startedAtUs + first * 1000;
    const entries = Array.from({ length: Math.min(most, count - first + 1) }, (_, at) =>
      entryAt(first + at, timeUs + at * 1000),
    );
    const isLast = first + most > count;
    if (isLast) entries[entries.length - 1] = fixOf(count, timeUs);
    const place = { streamId: PAST, firstSequence: first, dictionaryHash: used.hash, sealedMonotonicUs: 0 };
    const row = {
      block: decodeBlock(encodeBlock(entries, place)),
      dictionary: used.dictionary,
      marks: block % 2 === 0 ? Mark.replayed : 0,
      term: isLater ? 47 : 31,
    };
    const { atUs, ...fix } = fixOf(count, timeUs);
    const clockFixes = isLast ? [{ ...fix, by: { streamId: PAST, sequence: count, atUs } }] : [];
    await commit(archive, { blocks: [row], clockFixes, receivedAtUs: timeUs });
  }
  const ended = [{ streamId: PAST, lastSequence: count, atUs: endUs }];
  await commit(archive, { ended, receivedAtUs: endUs });
}

/** What an archive tells of the past, but for when it came there. */
export async function toldOfPast(archive: Archive) {
  const always = { site: SITE, fromUs: 0, toUs: Number.MAX_SAFE_INTEGER };
  const ofTags = await Promise.all(
    PAST_TAGS.map(async (tag) => {
      const rows = await archive.samples({ ...always, tag, limit: 10_000_000, withMarked: true });
      return {
        samples: rows.map(({ receivedAtUs: _, ...row }) => row),
        gaps: await archive.gaps({ ...always, tag }),
        streams: await archive.tagStreams({ site: SITE, tag }),
      };
    }),
  );
  const tags = (await archive.tags(SITE)).filter(({ process }) => process === PROCESS);
  return { ofTags, tags };
}

function entryAt(sequence: number, timeUs: number): BlockEntry {
  if (sequence % 97 === 0) {
    return { station: 'Q', tags: [], fromUs: timeUs, toUs: timeUs + 500, reason: 'station-down' };
  }
  const value = Math.sin(sequence) * 1e6;
  return { tagIndex: sequence % 2, sourceTimeUs: timeUs, value, quality: 0, cause: 'change' };
}

function fixOf(count: number, atUs: number) {
  const lastSequence = Math.floor(count / 3);
  return { streamId: PAST, firstSequence: 10, lastSequence, offsetUs: 3_600_000_000, atUs };
}

async function commit(
  archive: Archive,
  parts: Partial<ArchiveTransaction> & Pick<ArchiveTransaction, 'receivedAtUs'>,
): Promise<void> {
  await archive.commit({ streams: [], blocks: [], gaps: [], observed: [], ended: [], ...parts });
}
