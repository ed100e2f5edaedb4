import type { ForwardRing } from '../../buffer/forward-ring.ts';
import type { Block } from '../../domain/block/block.ts';
import { edgesOf } from '../../domain/block/edges.ts';
import { RunEncoder } from '../../domain/block/run-encoder.ts';
import { type CoverageRange, countOf, type SequenceRange, subtract } from '../../domain/coverage.ts';
import { OPEN_END, type SequenceGap, type SequenceGapReason } from '../../domain/gap.ts';
import { FIRST_SEQUENCE } from '../../domain/stream.ts';
import { TIME_MAX_US } from '../../uplink/limits.ts';
import type { ForwardStream } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';

/** Records that are remembered, of what was committed last. */
const RECENT_MAX = 10_000;

export interface GapBookOptions {
  readonly archive: Pick<Archive, 'tags' | 'gaps' | 'entries'>;
  readonly ring: Pick<ForwardRing, 'held' | 'read'>;
  readonly clock: Clock;
}

/** The gap records that belong to ranges of a coverage, for another archive. */
export class GapBook {
  readonly #options: GapBookOptions;
  /** The archive tells gaps by tags, and may not know any of a process yet. */
  #recent: SequenceGap[] = [];

  constructor(options: GapBookOptions) {
    this.#options = options;
  }

  /** They are in the archive now. */
  remember(gaps: readonly SequenceGap[]): void {
    if (gaps.length > 0) this.#recent = [...this.#recent, ...gaps].slice(-RECENT_MAX);
  }

  /** The records of the archive, cut to the ranges. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async records(stream: ForwardStream | undefined, ranges: readonly CoverageRange[]): Promise<SequenceGap[]> {
    if (stream === undefined || ranges.length === 0) return [];
    const recent = this.#recent.filter(({ streamId }) => streamId === stream.streamId);
    const known = [...(await this.#known(stream)), ...recent];
    return ranges.flatMap((range): SequenceGap[] => {
      const found: SequenceGap[] = [];
      let rest: SequenceRange[] = [range];
      for (const gap of known.filter(({ reason }) => reason === range.state)) {
        const told = { first: gap.firstSequence, last: gap.lastSequence };
        found.push(...rest.flatMap((part) => cutTo(gap, part)));
        rest = rest.flatMap((part) => subtract(part, [told]));
      }
      const reason = range.state as SequenceGapReason;
      return [...found, ...rest.map((part) => this.#unknown(stream, part, reason))];
    });
  }

  /** Records for what was archived here and has no row any more: the other archive does without. */
  async evicted(stream: ForwardStream | undefined, ranges: readonly SequenceRange[]): Promise<SequenceGap[]> {
    if (stream === undefined) return [];
    const { streamId } = stream;
    const gaps = ranges.map(async (range): Promise<SequenceGap> => {
      const gap = this.#unknown(stream, range, 'evicted');
      const next = await this.#block(streamId, range.last + 1);
      const last = await this.#block(streamId, range.first - 1);
      const fromUs = last === undefined ? gap.fromUs : edgesOf(last).endUs;
      const toUs = next === undefined ? endOf(stream, gap) : edgesOf(next).startUs;
      return { ...gap, fromUs: Math.min(fromUs, toUs), toUs };
    });
    return await Promise.all(gaps);
  }

  /** A block that has a number. */
  async #block(streamId: string, sequence: number): Promise<Block | undefined> {
    const { ring, archive } = this.#options;
    const range = { first: sequence, last: sequence };
    const [held] = await ring.read(streamId, range, 1);
    if (held !== undefined || sequence < FIRST_SEQUENCE) return held;
    const { runs } = await archive.entries({ streamId, ...range, limit: 1 });
    return runs.flatMap((run) => new RunEncoder().encode(run, 1))[0];
  }

  /** A record of a range of which no more is known than when its stream began. */
  #unknown(stream: ForwardStream, range: SequenceRange, reason: SequenceGapReason): SequenceGap {
    const { streamId, startedAtUs: fromUs } = stream;
    const countAtMost = range.last === OPEN_END ? OPEN_END : countOf([range]);
    return {
      ...{ streamId, firstSequence: range.first, lastSequence: range.last, reason },
      ...{ fromUs, toUs: Math.max(fromUs, this.#options.clock.wallUs()), countAtMost },
    };
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

/** When the last of a stream was observed at the latest: a former run does not reach into this one. */
function endOf({ ended, observedUntilUs }: ForwardStream, { fromUs, toUs }: SequenceGap): number {
  const endUs = ended?.atUs ?? (observedUntilUs > 0 ? observedUntilUs : toUs);
  return Math.min(toUs, Math.max(fromUs, endUs));
}

/** The part of a record that tells of a range; none where it tells of nothing there. */
export function cutTo(gap: SequenceGap, range: SequenceRange): SequenceGap[] {
  const firstSequence = Math.max(gap.firstSequence, range.first);
  const lastSequence = Math.min(gap.lastSequence, range.last);
  if (firstSequence > lastSequence) return [];
  const isOpen = lastSequence === OPEN_END;
  const countAtMost = isOpen ? gap.countAtMost : lastSequence - firstSequence + 1;
  return [{ ...gap, firstSequence, lastSequence, countAtMost }];
}
