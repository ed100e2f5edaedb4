/**
 * Bits that a row of the archive carries about how it came. Rows are kept whatever their marks; the default
 * view hides overlaps and duplicates.
 */
export const Mark = {
  /** It came out of a backlog while the agent caught up, not as it happened. */
  replayed: 1,
  /** Another instance of a higher term has a good sample of the same moment. */
  overlap: 2,
  /** Another instance delivered the same sample. */
  duplicate: 4,
  /** Nothing vouched for the agent's clock when it stamped this; a clock fix may have put it right since. */
  clockUncertain: 8,
} as const;

const MARK_NAMES = ['replayed', 'overlap', 'duplicate', 'clockUncertain'] as const;
export type MarkName = (typeof MARK_NAMES)[number];

/** Names of the bits that are set. */
export function markNames(marks: number): MarkName[] {
  return MARK_NAMES.filter((name) => (marks & Mark[name]) !== 0);
}
