import type { StreamInfo } from '../domain/stream.ts';

/** A stream of the other instance of a process, as its owner told of it. */
export interface MirroredStream {
  readonly info: StreamInfo;
  readonly ownerInstance: number;
  /** The highest number that is known to be given. */
  readonly producedTo: number;
  /** `null` while it runs, or if it never ended cleanly. */
  readonly endedAtUs: number | null;
}

/** Of a stream of which nothing but blocks is left. */
export function forgottenStream(
  streamId: string,
  startedAtUs: number,
  ownerInstance: number,
): MirroredStream {
  const info = { streamId, bootId: '0'.repeat(32), startedAtUs, previous: null };
  return { info, ownerInstance, producedTo: 0, endedAtUs: null };
}
