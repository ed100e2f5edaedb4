import { streamNumber } from '../register-work.ts';
import { timeText } from './columns.ts';
import { SAMPLES } from './schema.ts';
import { type PostgresWriter, rowSpanOf } from './writer.ts';

/** Deletes what is there of numbers that a transaction inserts again. */
export async function deleteRepaired(writer: PostgresWriter): Promise<void> {
  const { plan, session } = writer;
  for (const { streamId, first, last } of plan.repairs) {
    const stream = streamNumber(writer, streamId);
    const numbers = [stream, first, last];
    const range = 'stream = $1 AND sequence BETWEEN $2 AND $3';
    for (const table of ['time_gaps', 'clock_fixes']) {
      await session.query(`DELETE FROM ${table} WHERE ${range}`, numbers);
    }
    const span = rowSpanOf(writer, stream);
    if (span === undefined) continue;
    await session.query(`DELETE FROM ${SAMPLES} WHERE ${range} AND source_time BETWEEN $4 AND $5`, [
      ...numbers,
      ...[timeText(span.fromUs), timeText(span.toUs)],
    ]);
  }
}
