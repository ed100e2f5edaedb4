/** Classes of tags. Each class may have its own stream and its own share of the ring. */
export const TAG_CLASSES = ['measurement', 'counter', 'alarm'] as const;
export type TagClass = (typeof TAG_CLASSES)[number];

/** First sequence of every stream: 0 is "nothing yet" in every watermark. */
export const FIRST_SEQUENCE = 1;

/**
 * One run of one store. Streams form a chain: a stream names the one before it and whether that one ended
 * cleanly, so that a Kernel can tell a pause from a loss.
 */
export interface StreamInfo {
  /** 128 bits, 32 hexadecimal digits, minted durably before the first sample. */
  readonly streamId: string;
  /** 128 bits naming the run of the operating system; monotonic times of one boot compare. */
  readonly bootId: string;
  readonly startedAtUs: number;
  /** `null` for the first stream of a store. */
  readonly previous: PreviousStream | null;
}

/** What a stream knows about its predecessor in the same store. */
export interface PreviousStream {
  readonly streamId: string;
  /** The last sequence of it that was durable in the store, 0 for none. */
  readonly lastDurableSequence: number;
  /** True: `StreamEnd` was written, no number above `lastDurableSequence` was ever given. */
  readonly endedCleanly: boolean;
  /** Time of the last durable alive mark or of the clean end, integer µs. */
  readonly aliveUntilUs: number;
  /** Where it did not end cleanly: how many numbered samples can be lost at most. */
  readonly lostAtMost: number;
}
