import type { ForwardRing } from '../../buffer/forward-ring.ts';
import { edgesOf } from '../../domain/block/edges.ts';
import { type CoverageRange, countOf, type SequenceRange, subtract } from '../../domain/coverage.ts';
import { OPEN_END, type SequenceGap, type SequenceGapReason } from '../../domain/gap.ts';
import { TIME_MAX_US } from '../../uplink/limits.ts';
import type { ForwardStream } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';

export interface GapBookOptions {
  readonly archive: Pick<Archive, 'tags' | 'gaps'>;
  readonly ring: Pick<ForwardRing, 'held' | 'read'>;
}

/** The gap records that belong to ranges of a coverage, for another archive. */
export class GapBook {
  readonly #options: GapBookOptions;

  constructor(options: GapBookOptions) {
    this.#options = options;
  }

  /** The records of the archive, cut to the ranges. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async records(stream: ForwardStream | undefined, ranges: readonly CoverageRange[]): Promise<SequenceGap[]> {
    if (stream === undefined || ranges.length === 0) return [];
    const known = await this.#known(stream);
    return ranges.flatMap((range): SequenceGap[] => {
      const found = known.filter(({ reason }) => reason === range.state).flatMap((gap) => cutTo(gap, range));
      const told = found.map(({ firstSequence: first, lastSequence: last }) => ({ first, last }));
      const rest = subtract(
        range,
        told.sort((one, other) => one.first - other.first),
      );
      return [...found, ...rest.map((part) => gapOf(stream, part, range.state as SequenceGapReason))];
    });
  }

  /**
   * Records for what was archived here and is not in the ring any more: the other archive has to do without.
   */
  async evicted(stream: ForwardStream | undefined, ranges: readonly SequenceRange[]): Promise<SequenceGap[]> {
    if (stream === undefined) return [];
    const { ring } = this.#options;
    const gaps = ranges.map(async (range): Promise<SequenceGap> => {
      const { streamId } = stream;
      const gap = gapOf(stream, range, 'evicted');
      const [next] = await ring.read(streamId, { first: range.last + 1, last: OPEN_END }, 1);
      const [before] =
        range.first === 1
          ? []
          : await ring.read(streamId, { first: range.first - 1, last: range.first - 1 }, 1);
      const fromUs = before === undefined ? gap.fromUs : edgesOf(before).endUs;
      const toUs = next === undefined ? gap.toUs : edgesOf(next).startUs;
      return { ...gap, fromUs: Math.min(fromUs, toUs), toUs };
    });
    return await Promise.all(gaps);
  }

  /** The gaps of a process are told with those of any of its tags. */
  async #known({ streamId, site, process }: ForwardStream): Promise<SequenceGap[]> {
    const { archive } = this.#options;
    const tag = (await archive.tags(site)).find((each) => each.process === process);
    if (tag === undefined) return [];
    const gaps = await archive.gaps({ site, tag: tag.name, fromUs: 0, toUs: TIME_MAX_US });
    return gaps.flatMap((gap) => {
      if (gap.kind !== 'sequence' || gap.streamId !== streamId) return [];
      const { kind: _, ...record } = gap;
      return [record];
    });
  }
}

function cutTo(gap: SequenceGap, range: SequenceRange): SequenceGap[] {
  const firstSequence = Math.max(gap.firstSequence, range.first);
  const lastSequence = Math.min(gap.lastSequence, range.last);
  if (firstSequence > lastSequence) return [];
  const isOpen = lastSequence === OPEN_END;
  const countAtMost = isOpen ? gap.countAtMost : lastSequence - firstSequence + 1;
  return [{ ...gap, firstSequence, lastSequence, countAtMost }];
}

/** A record of a range of which no more is known than its stream. */
function gapOf(stream: ForwardStream, range: SequenceRange, reason: SequenceGapReason): SequenceGap {
  const { streamId, startedAtUs: fromUs, observedUntilUs } = stream;
  const countAtMost = range.last === OPEN_END ? OPEN_END : countOf([range]);
  return {
    ...{ streamId, firstSequence: range.first, lastSequence: range.last, reason },
    ...{ fromUs, toUs: Math.max(fromUs, observedUntilUs), countAtMost },
  };
}
