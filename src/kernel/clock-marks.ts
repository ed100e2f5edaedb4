import { lastSequence } from '../domain/block/block.ts';
import { clockFixAt, isClockFixAt } from '../domain/block/codec.ts';
import type { ArchivedClockFix } from '../domain/clock-offsets.ts';
import { uncovered } from '../domain/coverage.ts';
import { Mark } from '../domain/marks.ts';
import type { Archive, ArchiveBlock } from '../world/archive.ts';

/**
 * The clock fixes in blocks that are about to be archived, in order. One that is archived already is passed
 * over. So is one of a stream of another process.
 */
export async function clockFixesIn(
  blocks: readonly ArchiveBlock[],
  archive: Pick<Archive, 'coverage' | 'streams'>,
): Promise<ArchivedClockFix[]> {
  const found: ArchivedClockFix[] = [];
  for (const { block, dictionary } of blocks) {
    // A clock fix is a text of its block; most blocks have none.
    if (block.texts.size === 0) continue;
    const { header } = block;
    const places = [...block.texts.keys()].filter((at) => isClockFixAt(block, at));
    if (places.length === 0) continue;
    const { streamId, firstSequence: first } = header;
    const news = uncovered(await archive.coverage(streamId), { first, last: lastSequence(header) });
    const streams = await archive.streams(dictionary.site, dictionary.process);
    const known = new Set([streamId, ...streams.map((stream) => stream.streamId)]);
    for (const at of places) {
      const { atUs, ...told } = clockFixAt(block, at);
      const fix = { ...told, by: { streamId, sequence: first + at, atUs } };
      const isNew = news.some((range) => range.first <= first + at && first + at <= range.last);
      if (isNew && known.has(fix.streamId)) found.push(fix);
    }
  }
  return found;
}

/** The block with what its header says of the agent's clock on its rows. */
export function withClockMark(block: ArchiveBlock): ArchiveBlock {
  if (block.block.header.isClockUncertain !== true) return block;
  return { ...block, marks: (block.marks ?? 0) | Mark.clockUncertain };
}
