import type { Presence, TimelineState } from '../../domain/timeline.ts';
import type { Archive, ArchivedTag, TagInterval } from '../../world/archive.ts';
import { type PresenceOf, segmentsOf } from './segments.ts';

export interface CompletenessQuery {
  /** Of one site only. */
  readonly site?: string;
  readonly fromUs: number;
  readonly toUs: number;
}

/** How much of the interval is in which state, 0 to 1, over all tags of a station. The shares add up to 1. */
export interface StationCompleteness {
  readonly site: string;
  readonly process: string;
  readonly station: string;
  readonly tags: number;
  readonly shares: Readonly<Record<TimelineState, number>>;
}

/** Shares by station, in the order of sites, processes and stations. */
export async function* completeness(
  archive: Archive,
  presenceOf: PresenceOf,
  query: CompletenessQuery,
): AsyncGenerator<StationCompleteness> {
  const tags = await archive.tags(query.site);
  const stations = Map.groupBy(tags, ({ site, process, station }) => [site, process, station].join('\n'));
  for (const key of [...stations.keys()].sort()) {
    const of = stations.get(key) ?? [];
    const [first] = of;
    if (first === undefined) continue;
    const { site, process, station } = first;
    const presence = presenceOf(site, process);
    yield {
      site,
      process,
      station,
      tags: of.length,
      shares: await sharesOf(archive, of, { ...query, presence }),
    };
  }
}

async function sharesOf(
  archive: Archive,
  tags: readonly ArchivedTag[],
  { fromUs, toUs, presence }: { readonly fromUs: number; readonly toUs: number; readonly presence: Presence },
): Promise<Record<TimelineState, number>> {
  const sums = { data: 0, bad: 0, pending: 0, gap: 0, unknown: 0 };
  const site = tags[0]?.site ?? '';
  const names = tags.map(({ name }) => name);
  const qualities = await archive.qualityChangesOf({ site, tags: names, fromUs, toUs });
  for (const { name } of tags) {
    const interval: TagInterval = { site, tag: name, fromUs, toUs };
    const segments = await segmentsOf(archive, interval, { presence, qualities: qualities.get(name) ?? [] });
    for (const segment of segments) sums[segment.state] += segment.toUs - segment.fromUs;
  }
  const whole = (toUs - fromUs) * tags.length;
  return {
    data: sums.data / whole,
    bad: sums.bad / whole,
    pending: sums.pending / whole,
    gap: sums.gap / whole,
    unknown: sums.unknown / whole,
  };
}
