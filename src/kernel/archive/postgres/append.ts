import { ENTRY_KIND_MASK, EntryKind } from '../../../domain/block/block.ts';
import { countOf } from '../../../domain/coverage.ts';
import { invariant, KomError } from '../../../domain/errors.ts';
import { stepAt } from '../../../domain/sequence-steps.ts';
import type { Clock } from '../../../world/clock.ts';
import { offsetsOf, streamNumber } from '../register-work.ts';
import type { Span } from '../rival-plan.ts';
import { orderByTag } from '../tag-order.ts';
import { timeText } from './columns.ts';
import { type BlockOfRows, CopyRows } from './copy-rows.ts';
import { SAMPLE_COLUMNS, SAMPLES } from './schema.ts';
import { type PostgresWriter, readTagIds } from './writer.ts';

const COPY = `COPY ${SAMPLES} (${SAMPLE_COLUMNS.join(', ')}) FROM STDIN (FORMAT binary)`;

/** Chunks of rows after which the event loop turns: about ten milliseconds of work. */
const PIECE_CHUNKS = 4;

/** Rows of a transaction before they are written: which entry of which block, corrected time, tag. */
interface Rows {
  readonly blocks: readonly BlockOfRows[];
  readonly blockOf: Uint32Array;
  readonly positions: Uint32Array;
  readonly timesUs: Float64Array;
  readonly tags: Uint32Array;
  readonly count: number;
}

/**
 * Writes the samples of a transaction, by tag: a question about one tag then finds its rows together.
 * Returns where rows were written, by small id of the stream.
 * @throws KomError KOM_BLOCK_CORRUPT if a tag index is not in its dictionary
 */
export async function writeSamples(writer: PostgresWriter, clock: Clock): Promise<Map<number, Span>> {
  const rows = await gather(writer);
  if (rows.count === 0) return new Map();
  await ensureMonths(writer, rows.timesUs.subarray(0, rows.count));
  const written = await writer.session.copyIn(COPY, chunksOf(rows, clock));
  invariant(written === rows.count, 'the database has taken every row');
  return spansOf(rows);
}

async function gather(writer: PostgresWriter): Promise<Rows> {
  const { transaction, plan, catalog, tagIds } = writer;
  const most = countOf(plan.inserts.flat());
  const rows = {
    blocks: [] as BlockOfRows[],
    blockOf: new Uint32Array(most),
    positions: new Uint32Array(most),
    timesUs: new Float64Array(most),
    tags: new Uint32Array(most),
    count: 0,
  };
  for (const [index, { block, marks = 0 }] of transaction.blocks.entries()) {
    const ranges = plan.inserts[index] ?? [];
    if (ranges.length === 0) continue;
    const { streamId, firstSequence, dictionaryHash } = block.header;
    const dictionary = catalog.dictionaries.get(dictionaryHash);
    invariant(dictionary !== undefined, 'the dictionary of a block was looked up before');
    const ids = await tagIds.of(dictionary, () => readTagIds(writer.session, dictionary));
    const offsets = offsetsOf(writer, streamId);
    const { receivedAtUs } = transaction;
    const number =
      rows.blocks.push({ block, stream: streamNumber(writer, streamId), receivedAtUs, marks }) - 1;
    for (const { first, last } of ranges) {
      for (let at = first - firstSequence; at <= last - firstSequence; at++) {
        if (((block.kinds[at] as number) & ENTRY_KIND_MASK) > EntryKind.text) continue;
        const tag = ids[block.tagIndexes[at] as number];
        if (tag === undefined) {
          throw new KomError('KOM_BLOCK_CORRUPT', `tag ${block.tagIndexes[at]} is not in its dictionary`);
        }
        const stampedUs = block.sourceTimesUs[at] as number;
        const isOff = offsets.length > 0 && block.deviceTimesUs.get(at) !== stampedUs;
        rows.blockOf[rows.count] = number;
        rows.positions[rows.count] = at;
        rows.timesUs[rows.count] = isOff ? stampedUs + stepAt(offsets, firstSequence + at) : stampedUs;
        rows.tags[rows.count++] = tag;
      }
    }
  }
  return rows;
}

async function* chunksOf(rows: Rows, clock: Clock): AsyncGenerator<Uint8Array> {
  const copy = new CopyRows();
  let chunks = 0;
  for (const row of orderByTag(rows.tags.subarray(0, rows.count))) {
    const chunk = copy.take();
    if (chunk !== null) {
      yield chunk;
      if (++chunks % PIECE_CHUNKS === 0) await clock.sleep(0);
    }
    const block = rows.blocks[rows.blockOf[row] as number] as BlockOfRows;
    copy.add(block, rows.positions[row] as number, {
      tag: rows.tags[row] as number,
      timeUs: rows.timesUs[row] as number,
    });
  }
  yield copy.end();
}

function spansOf({ blocks, blockOf, timesUs, count }: Rows): Map<number, Span> {
  const spans = new Map<number, { fromUs: number; toUs: number }>();
  for (let row = 0; row < count; row++) {
    const stream = (blocks[blockOf[row] as number] as BlockOfRows).stream;
    const timeUs = timesUs[row] as number;
    const span = spans.get(stream);
    if (span === undefined) spans.set(stream, { fromUs: timeUs, toUs: timeUs });
    else if (timeUs < span.fromUs) span.fromUs = timeUs;
    else if (timeUs > span.toUs) span.toUs = timeUs;
  }
  return spans;
}

/** Makes the partitions that are not there yet. */
export async function ensureMonths(
  { catalog, session, months }: PostgresWriter,
  timesUs: Iterable<number>,
): Promise<void> {
  if (catalog.isHypertable) return;
  let known = { fromUs: 0, toUs: 0 };
  for (const timeUs of timesUs) {
    if (timeUs >= known.fromUs && timeUs < known.toUs) continue;
    known = monthAt(timeUs);
    if (catalog.months.has(known.fromUs) || months.has(known.fromUs)) continue;
    await session.query('SELECT add_samples_month($1)', [timeText(known.fromUs)]);
    months.add(known.fromUs);
  }
}

/** The month of a time, UTC, half-open. */
function monthAt(timeUs: number): Span {
  const date = new Date(Math.floor(timeUs / 1000));
  const start = (further: number): number =>
    Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + further) * 1000;
  return { fromUs: start(0), toUs: start(1) };
}
