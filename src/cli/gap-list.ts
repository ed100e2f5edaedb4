import type { RingFacts } from '../buffer/facts.ts';
import { knownCount, knownEnd, type SequenceGap } from '../domain/gap.ts';
import { formatTimeUs } from '../domain/units.ts';

/** A loss as it is told to somebody outside: what nobody knows is `null`. */
export interface ReportedGap extends Omit<SequenceGap, 'countAtMost' | 'lastSequence'> {
  readonly lastSequence: number | null;
  readonly countAtMost: number | null;
  /** When a Kernel acknowledged it, integer µs; `null`: none has yet. */
  readonly toldAtUs: number | null;
}

export function reportedGap(gap: SequenceGap & { readonly toldAtUs?: number }): ReportedGap {
  const { streamId, firstSequence, lastSequence, reason, fromUs, toUs, countAtMost, toldAtUs } = gap;
  const range = { streamId, firstSequence, lastSequence: knownEnd(lastSequence) };
  const what = { reason, fromUs, toUs, countAtMost: knownCount(countAtMost) };
  return { ...range, ...what, toldAtUs: toldAtUs ?? null };
}

/** A loss for a person. */
export function gapLine(gap: ReportedGap): string {
  const { streamId, firstSequence, lastSequence, reason, countAtMost, fromUs, toUs, toldAtUs } = gap;
  const last = lastSequence === null ? 'the end' : String(lastSequence);
  const count = countAtMost === null ? 'unknown how many samples' : `at most ${countAtMost} samples`;
  const told = toldAtUs === null ? '' : `, told at ${formatTimeUs(toldAtUs)}`;
  const when = `${formatTimeUs(fromUs)} to ${formatTimeUs(toUs)}`;
  return `${streamId} ${firstSequence}–${last}: ${reason}, ${count}, ${when}${told}`;
}

/** What the list of told losses does not have, for a person. */
export function* ledgerLines({
  ledger,
  told,
}: {
  readonly ledger: RingFacts['ledger'];
  readonly told: number;
}): Generator<string> {
  if (ledger === null) {
    yield 'no journal yet: the next start of an agent begins it';
    return;
  }
  const { sinceUs, isRebuilt, pushedOut } = ledger;
  yield `${told} losses in the journal, which goes back to ${formatTimeUs(sinceUs)}` +
    (pushedOut === 0 ? '' : `; ${pushedOut} older ones made room, the totals count them`);
  if (isRebuilt) {
    yield 'what was told before that time is in neither journal nor totals: the meta database was lost or' +
      ' damaged, or is of a program that kept no journal';
  }
}
