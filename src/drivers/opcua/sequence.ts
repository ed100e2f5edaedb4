/** Numbers of notification messages run from 1 to 2^32 - 1 and then from 1 again (OPC 10000-4, 5.14.5). */
const SEQUENCE_MAX = 0xffff_ffff;

/** Half of the range: a number further ahead than this is behind. */
const HALF = 0x8000_0000;

/** The number of the message after this one. */
export function afterSequence(sequence: number): number {
  return sequence >= SEQUENCE_MAX ? 1 : sequence + 1;
}

/** How many messages are missing between the expected one and the one that came; 0 for a repetition. */
export function missingSequences(expected: number, came: number): number {
  const ahead = came >= expected ? came - expected : came + SEQUENCE_MAX - expected;
  return ahead < HALF ? ahead : 0;
}

/** The number `back` messages before this one. */
export function sequenceBefore(sequence: number, back: number): number {
  return sequence > back ? sequence - back : sequence + SEQUENCE_MAX - back;
}
