import { type Coverage, contiguousEnd } from './coverage.ts';
import type { SequenceGap } from './gap.ts';
import { isBad, qualityName } from './quality.ts';
import type { TimeGap } from './sample.ts';

/**
 * What is known of a tag over an interval. `data`: the last sample holds. `bad`: it was seen to be bad.
 * `pending`: not archived yet, held at the site. `gap`: declared as lost or not observed. `unknown`: none of
 * these.
 */
export type TimelineState = 'data' | 'bad' | 'pending' | 'gap' | 'unknown';

/** Half-open [fromUs, toUs), integer µs. */
export interface TimelineSegment {
  readonly fromUs: number;
  readonly toUs: number;
  readonly state: TimelineState;
  /** Of a gap its reason, of `bad` the name of the quality; else `null`. */
  readonly reason: string | null;
}

/** A stream that carried the tag's process. */
export interface TimelineStream {
  readonly streamId: string;
  readonly instance: number;
  readonly startedAtUs: number;
  readonly observedUntilUs: number;
  readonly endedAtUs: number | null;
  readonly coverage: Coverage;
  /** The stream used a dictionary that names the tag. */
  readonly knowsTag: boolean;
}

/** A gap that concerns the tag. */
export type TimelineGap =
  | ({ readonly kind: 'time'; readonly streamId: string } & TimeGap)
  | ({ readonly kind: 'sequence' } & SequenceGap);

/** What the site's live sessions say about what they still hold. */
export interface Presence {
  /** Last number given or held, by stream id; of streams that a connected session names. */
  readonly producedTo: Readonly<Record<string, number>>;
  /**
   * Time of the oldest sample in the backlog of an instance, integer µs, by its number. No entry: it is
   * empty, or nobody who holds it is connected.
   */
  readonly heldFromUs: Readonly<Record<number, number>>;
  /**
   * Instances that do not observe now, because they stand by: until when they did, integer µs, by number.
   * What they hold is not of a later time.
   */
  readonly observedUntilUs?: Readonly<Record<number, number>>;
  /** The Kernel's time, integer µs: nothing is known of what comes after. */
  readonly nowUs: number;
}

export interface TimelineInput {
  readonly fromUs: number;
  readonly toUs: number;
  /** Ascending; the first is the one in force at `fromUs`, if there is one. Repeats do no harm. */
  readonly qualities: readonly { readonly sourceTimeUs: number; readonly quality: number }[];
  readonly gaps: readonly TimelineGap[];
  /** Time of the tag's first sample after a lost range of numbers; without it the doubt is not told. */
  readonly sampleAfterGapUs?: (gapEndUs: number) => number | undefined;
  readonly streams: readonly TimelineStream[];
  readonly presence: Presence;
}

/** What one instance says about a moment. */
interface Claim {
  readonly state: 'observed' | 'pending' | 'time-gap' | 'sequence-gap';
  readonly reason: string | null;
}
interface Span extends Claim {
  readonly fromUs: number;
  readonly toUs: number;
  readonly instance: number;
}

/**
 * Classifies [fromUs, toUs) into ascending, touching segments that cover it exactly. At one moment:
 *
 * 1. from `nowUs` on: unknown
 * 2. within one instance a gap outweighs that it was observed, and both outweigh pending;
 *    of two gaps, the one of time outweighs the one of numbers
 * 3. between instances, the one that observed the tag outweighs pending, which outweighs a gap
 * 4. observed: bad or data by the quality in force; unknown if there was no sample yet
 * 5. nobody says anything: unknown
 *
 * An instance that stands by says nothing of that time: its stream is observed until it stood down, and when
 * it is active again it declares what it did not see. What remains of that is the hole of the takeover.
 *
 * A lost range of numbers may hold a change of any tag, so its gap lasts until the tag's next sample.
 */
export function timeline(input: TimelineInput): TimelineSegment[] {
  const { fromUs, toUs } = input;
  const spans = [...streamSpans(input), ...gapSpans(input), ...backlogSpan(input)].filter(
    (span) => span.fromUs < span.toUs && span.toUs > fromUs && span.fromUs < toUs,
  );
  const qualities = input.qualities;
  const cuts = new Set([fromUs, toUs, input.presence.nowUs]);
  for (const span of spans) cuts.add(span.fromUs).add(span.toUs);
  for (const each of qualities) cuts.add(each.sourceTimeUs);
  const times = [...cuts].filter((time) => time >= fromUs && time <= toUs).sort((a, b) => a - b);

  const segments: TimelineSegment[] = [];
  const arriving = spans.toSorted((a, b) => a.fromUs - b.fromUs);
  let open: Span[] = [];
  let nextSpan = 0;
  let nextQuality = 0;
  for (const [index, time] of times.slice(0, -1).entries()) {
    while ((arriving[nextSpan]?.fromUs ?? Number.POSITIVE_INFINITY) <= time) {
      open.push(arriving[nextSpan++] as Span);
    }
    open = open.filter((span) => span.toUs > time);
    while ((qualities[nextQuality]?.sourceTimeUs ?? Number.POSITIVE_INFINITY) <= time) nextQuality++;
    const quality = qualities[nextQuality - 1]?.quality;
    const claim = time >= input.presence.nowUs ? undefined : strongest(open);
    append(segments, { fromUs: time, toUs: times[index + 1] as number, ...stateOf(claim, quality) });
  }
  return segments;
}

function streamSpans({ streams, presence }: TimelineInput): Span[] {
  return streams.flatMap((stream): Span[] => {
    if (!stream.knowsTag) return [];
    const { instance, startedAtUs, observedUntilUs } = stream;
    const next = streams
      .filter((other) => other.instance === instance && other.startedAtUs > startedAtUs)
      .reduce((soonest, other) => Math.min(soonest, other.startedAtUs), presence.nowUs);
    const observed: Span = {
      ...{ fromUs: startedAtUs, toUs: observedUntilUs, instance, state: 'observed', reason: null },
    };
    const holds = (presence.producedTo[stream.streamId] ?? 0) > contiguousEnd(stream.coverage);
    if (!holds) return [observed];
    const toUs = stream.endedAtUs ?? Math.min(next, presence.observedUntilUs?.[instance] ?? next);
    return [observed, { fromUs: observedUntilUs, toUs, instance, state: 'pending', reason: null }];
  });
}

function gapSpans({ gaps, streams, sampleAfterGapUs, toUs }: TimelineInput): Span[] {
  const byId = new Map(streams.map((stream) => [stream.streamId, stream]));
  return gaps.flatMap((gap): Span | [] => {
    const stream = byId.get(gap.streamId);
    // What a store says of all stations it says of the tags that it has.
    if (gap.kind === 'time' && gap.station === null && stream?.knowsTag === false) return [];
    const claim = { reason: gap.reason, instance: stream?.instance ?? 0 };
    if (gap.kind === 'time') return { fromUs: gap.fromUs, toUs: gap.toUs, state: 'time-gap', ...claim };
    const end = sampleAfterGapUs === undefined ? gap.toUs + 1 : (sampleAfterGapUs(gap.toUs) ?? toUs);
    return { fromUs: gap.fromUs, toUs: Math.max(gap.toUs + 1, end), state: 'sequence-gap', ...claim };
  });
}

/** A backlog may hold streams that the archive has not heard of. */
function backlogSpan({ presence, streams }: TimelineInput): Span[] {
  const { heldFromUs, nowUs, observedUntilUs } = presence;
  const instances = new Set(streams.map((stream) => stream.instance));
  return [...instances].flatMap((instance): Span[] => {
    const fromUs = heldFromUs[instance];
    const toUs = Math.min(nowUs, observedUntilUs?.[instance] ?? nowUs);
    return fromUs === undefined ? [] : [{ fromUs, toUs, instance, state: 'pending', reason: null }];
  });
}

/** Reasons of an instance that did not try. */
const ABSENT: ReadonlySet<string | null> = new Set(['agent-stopped', 'takeover']);
const WITHIN_INSTANCE = ['time-gap', 'sequence-gap', 'observed', 'pending'] as const;
const BETWEEN_INSTANCES = ['observed', 'pending', 'time-gap', 'sequence-gap'] as const;

function strongest(open: readonly Span[]): Claim | undefined {
  const claims = [...Map.groupBy(open, (span) => span.instance).values()].map((spans) =>
    first(spans, WITHIN_INSTANCE),
  );
  const known = claims.filter((claim) => claim !== undefined);
  return first(known, BETWEEN_INSTANCES);
}

function first(claims: readonly Claim[], order: readonly Claim['state'][]): Claim | undefined {
  for (const state of order) {
    const found = claims.filter((claim) => claim.state === state);
    // Who was there knows more of why nothing was observed than who was not.
    if (found.length > 0) return found.find(({ reason }) => !ABSENT.has(reason)) ?? found[0];
  }
  return undefined;
}

function stateOf(
  claim: Claim | undefined,
  quality: number | undefined,
): { readonly state: TimelineState; readonly reason: string | null } {
  if (claim === undefined) return { state: 'unknown', reason: null };
  if (claim.state === 'pending') return { state: 'pending', reason: null };
  if (claim.state !== 'observed') return { state: 'gap', reason: claim.reason };
  if (quality === undefined) return { state: 'unknown', reason: null };
  return isBad(quality) ? { state: 'bad', reason: qualityName(quality) } : { state: 'data', reason: null };
}

function append(segments: TimelineSegment[], segment: TimelineSegment): void {
  const before = segments.at(-1);
  if (before !== undefined && before.state === segment.state && before.reason === segment.reason) {
    segments[segments.length - 1] = { ...before, toUs: segment.toUs };
  } else segments.push(segment);
}
