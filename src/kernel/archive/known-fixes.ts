import type { ClockFix } from '../../domain/clock-fix.ts';
import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import { rememberFix } from './changed.ts';
import type { StreamRow } from './register.ts';

/** The entry of a clock fix as a database has it. */
export interface StoredFix extends ClockFix {
  /** Small id of the stream that the entry is in. */
  readonly stream: number;
  readonly sequence: number;
}

/** What has been said of the numbers of streams; an entry says nothing of those of another process. */
export function knownFixes(
  stored: readonly StoredFix[],
  streams: readonly StreamRow[],
): Map<string, readonly ArchivedClockFix[]> {
  const clockFixes = new Map<string, readonly ArchivedClockFix[]>();
  const byNumber = new Map(streams.map((row) => [row.id, row]));
  const byId = new Map(streams.map((row) => [row.streamId, row]));
  for (const { stream, sequence, atUs, ...fix } of stored) {
    const by = byNumber.get(stream);
    const of = byId.get(fix.streamId);
    if (by === undefined || of === undefined || by.site !== of.site || by.process !== of.process) continue;
    rememberFix({ clockFixes }, { ...fix, by: { streamId: by.streamId, sequence, atUs } });
  }
  return clockFixes;
}
