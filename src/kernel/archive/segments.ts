import { type Presence, type TimelineSegment, timeline } from '../../domain/timeline.ts';
import type { Archive, ArchivedGap, QualityChange, TagInterval } from '../../world/archive.ts';

/** What the Kernel knows of a site's live sessions. */
export type PresenceOf = (site: string, process: string) => Presence;

/** What is known of each moment of one tag. */
export async function segmentsOf(
  archive: Archive,
  interval: TagInterval,
  { presence, qualities }: { readonly presence: Presence; readonly qualities: readonly QualityChange[] },
): Promise<TimelineSegment[]> {
  const { fromUs, toUs } = interval;
  // A range of numbers lost since the sample in force leaves doubt that reaches into the interval.
  const sinceUs = Math.min(fromUs, qualities[0]?.sourceTimeUs ?? fromUs);
  const gaps = await archive.gaps({ ...interval, fromUs: sinceUs });
  const after = await samplesAfter(archive, interval, gaps);
  return timeline({
    ...{ fromUs, toUs, qualities, gaps, presence },
    sampleAfterGapUs: (endUs) => after.get(endUs),
    streams: await archive.tagStreams(interval),
  });
}

/** Time of the tag's first sample behind each lost range of numbers, by the end of the range. */
async function samplesAfter(
  archive: Archive,
  interval: TagInterval,
  gaps: readonly ArchivedGap[],
): Promise<Map<number, number>> {
  const after = new Map<number, number>();
  for (const gap of gaps) {
    if (gap.kind !== 'sequence' || after.has(gap.toUs)) continue;
    const [sample] = await archive.samples({ ...interval, fromUs: gap.toUs + 1, limit: 1 });
    if (sample !== undefined) after.set(gap.toUs, sample.sourceTimeUs);
  }
  return after;
}
