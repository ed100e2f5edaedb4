import type { Command } from 'commander';
import type { LateRange } from '../domain/late-range.ts';
import type { TimeZone } from '../domain/time-zone.ts';
import type { TimelineState } from '../domain/timeline.ts';
import { formatTimeUs } from '../domain/units.ts';
import type { StationCompleteness } from '../kernel/archive/completeness.ts';
import { type ArchiveContext, type ArchiveSource, withSource } from './archive-access.ts';
import { type IntervalOptions, intervalOf, withInterval } from './archive-interval.ts';

const DEFAULT_FROM = '-1d';
const STATES = ['data', 'bad', 'pending', 'gap', 'unknown'] as const satisfies readonly TimelineState[];

interface CompletenessOptions extends ArchiveSource, IntervalOptions {
  readonly site?: string;
  readonly late?: boolean;
  readonly json?: boolean;
}

/** `kom archive completeness`. */
export function addCompleteness(archive: Command, { context, open, nowUs }: ArchiveContext): void {
  const command = withSource(archive.command('completeness')).description(
    'shares of data, bad, pending, gap and unknown, by station',
  );
  withInterval(command, DEFAULT_FROM)
    .option('--site <name>', 'of one site only')
    .option('--late', 'instead: past ranges that were completed within the interval, to be calculated again')
    .option('--json', 'one JSON object a line')
    .action(async (options: CompletenessOptions) => {
      const { zone, fromUs, toUs } = intervalOf(options, DEFAULT_FROM, nowUs());
      const query = { ...(options.site === undefined ? {} : { site: options.site }), fromUs, toUs };
      await using queries = await open(options);
      const isJson = options.json === true;
      const line = (text: string): void => context.output.line(text);
      if (options.late === true) {
        for (const text of renderLate(await queries.late(query), zone, isJson)) line(text);
        return;
      }
      if (!isJson) line(row(['site', 'process', 'station', 'tags', ...STATES]));
      for await (const station of queries.completeness(query)) {
        line(isJson ? JSON.stringify(station) : stationRow(station));
      }
    });
}

function stationRow({ site, process, station, tags, shares }: StationCompleteness): string {
  return row([site, process, station, String(tags), ...STATES.map((state) => percent(shares[state]))]);
}

/** Never rounded to a whole that it is not: 99.9999 % is not complete. */
function percent(share: number): string {
  const rounded = (share * 100).toFixed(3);
  if (rounded === '100.000' && share < 1) return '99.999 %';
  if (rounded === '0.000' && share > 0) return '0.001 %';
  return `${rounded} %`;
}

function renderLate(ranges: readonly LateRange[], zone: TimeZone, json: boolean): string[] {
  const time = (timeUs: number): string => (zone.name === 'UTC' ? formatTimeUs(timeUs) : zone.format(timeUs));
  const told = ranges.map(({ site, process, station, ...times }) => ({
    ...{ site, process, station, from: time(times.fromUs), to: time(times.toUs) },
    ...{ since: time(times.sinceUs), completedAt: time(times.completedAtUs) },
  }));
  if (json) return told.map((each) => JSON.stringify(each));
  return [
    row(['site', 'process', 'station', 'from', 'to', 'completed']),
    ...told.map((each) => row([each.site, each.process, each.station, each.from, each.to, each.completedAt])),
  ];
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell) => cell.replaceAll(/[\p{Cc}]/gu, ' ').padEnd(10))
    .join('  ')
    .trimEnd();
}
