import type { SequenceRange } from '../domain/coverage.ts';
import { RangeSet } from '../domain/range-set.ts';
import type { MirrorSegment } from './mirror-segment.ts';
import type { MirroredStream } from './mirrored-stream.ts';
import type { Run } from './segment.ts';

/** A run in its segment. */
export interface PlacedRun {
  readonly number: number;
  readonly run: Run;
}

/** Which numbers a mirror has on its disk and where, in memory. */
export class MirrorIndex {
  /** In the order in which they were written. */
  readonly #segments = new Map<number, MirrorSegment>();
  /** By stream, what somebody needs. */
  readonly #held = new Map<string, RangeSet>();

  get segments(): readonly MirrorSegment[] {
    return [...this.#segments.values()];
  }

  get oldest(): MirrorSegment | undefined {
    return this.#segments.values().next().value;
  }

  get bytes(): number {
    return this.segments.reduce((sum, { facts }) => sum + facts.bytes, 0);
  }

  /** Streams of which something is held, each as it was told last. */
  get streams(): MirroredStream[] {
    const byId = new Map(
      this.segments.flatMap(({ streams }) => streams.map((stream) => [stream.info.streamId, stream])),
    );
    return [...byId.values()].filter(({ info }) => this.held(info.streamId).length > 0);
  }

  held(streamId: string): readonly SequenceRange[] {
    return this.#held.get(streamId)?.ranges ?? [];
  }

  /** By stream, the number before the first that is held. */
  get beforeHeld(): Map<string, number> {
    return new Map([...this.#held].map(([streamId, { ranges }]) => [streamId, (ranges[0]?.first ?? 1) - 1]));
  }

  has(streamId: string, range: SequenceRange): boolean {
    return this.#held.get(streamId)?.holds(range) ?? false;
  }

  /** A segment is as it was written, with all that it has. */
  load(segment: MirrorSegment): void {
    this.#segments.set(segment.facts.number, segment);
    for (const { streamId, ranges } of segment.facts.runs) {
      for (const range of ranges) this.#of(streamId).add(range);
    }
  }

  /** A segment has these numbers more. */
  grown(segment: MirrorSegment, streamId: string, range: SequenceRange): void {
    this.#segments.set(segment.facts.number, segment);
    this.#of(streamId).add(range);
  }

  /** Its facts are now these. */
  replaced(segment: MirrorSegment): void {
    this.#segments.set(segment.facts.number, segment);
  }

  /** Nobody needs these numbers any more. */
  forget(streamId: string, ranges: readonly SequenceRange[]): void {
    const held = this.#held.get(streamId);
    if (held === undefined) return;
    for (const range of ranges) held.remove(range);
    if (held.ranges.length === 0) this.#held.delete(streamId);
  }

  /** Segments of which nobody needs anything. */
  get useless(): number[] {
    return this.segments.filter((segment) => !this.#isNeeded(segment)).map(({ facts }) => facts.number);
  }

  /** The segment is gone. Returns the highest number of each stream that went with it. */
  dropped(number: number): Map<string, number> {
    const segment = this.#segments.get(number);
    this.#segments.delete(number);
    const lost = new Map<string, number>();
    for (const { streamId, ranges } of segment?.facts.runs ?? []) {
      const held = this.#held.get(streamId);
      for (const range of ranges) {
        const free = held?.missing(range).reduce((count, { first, last }) => count + last - first + 1, 0);
        if (held === undefined || free === range.last - range.first + 1) continue;
        held.remove(range);
        lost.set(streamId, Math.max(range.last, lost.get(streamId) ?? 0));
      }
      if (held?.ranges.length === 0) this.#held.delete(streamId);
    }
    return lost;
  }

  /** The run that has the lowest number of a range. */
  find(streamId: string, range: SequenceRange): PlacedRun | undefined {
    let found: { readonly place: PlacedRun; readonly first: number } | undefined;
    for (const { facts } of this.#segments.values()) {
      for (const run of facts.runs) {
        const part = run.streamId === streamId && run.ranges.find((each) => overlaps(each, range));
        if (part === undefined || part === false) continue;
        const first = Math.max(part.first, range.first);
        if (found === undefined || first < found.first)
          found = { place: { number: facts.number, run }, first };
      }
    }
    return found?.place;
  }

  #isNeeded({ facts }: MirrorSegment): boolean {
    return facts.runs.some(({ streamId, ranges }) => {
      const held = this.held(streamId);
      return ranges.some((range) => held.some((each) => overlaps(each, range)));
    });
  }

  #of(streamId: string): RangeSet {
    const known = this.#held.get(streamId);
    if (known !== undefined) return known;
    const held = new RangeSet();
    this.#held.set(streamId, held);
    return held;
  }
}

export function overlaps(one: SequenceRange, other: SequenceRange): boolean {
  return one.first <= other.last && other.first <= one.last;
}
