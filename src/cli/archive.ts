import { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import { formatSize, formatTimeUs } from '../domain/units.ts';
import type { QueryLine, StatAnswer } from '../kernel/archive/query.ts';
import { type ArchiveSource, type OpenArchiveQueries, withSource } from './archive-access.ts';
import { addCompleteness } from './archive-completeness.ts';
import { addExport } from './archive-export.ts';
import { type IntervalOptions, intervalOf, inZone, withInterval } from './archive-interval.ts';
import type { CommandContext } from './program.ts';

const DEFAULT_FROM = '-1h';

export type QueryFormat = 'table' | 'csv' | 'json';

interface QueryOptions extends ArchiveSource, IntervalOptions {
  readonly tag: string;
  readonly site?: string;
  readonly csv?: boolean;
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly all?: boolean;
}

/** `kom archive`: `query`, `stat`, `tags`, `completeness`, `export`. */
export function archiveCommand(
  context: CommandContext,
  open: OpenArchiveQueries,
  nowUs: () => number = () => Date.now() * 1000,
): Command {
  const command = new Command('archive').description('ask the archive of a Kernel');
  const query = withSource(command.command('query'))
    .description('history of one tag; holes are rows of their own')
    .requiredOption('--tag <name>', 'full name of the tag');
  withInterval(query, DEFAULT_FROM)
    .option('--site <name>', 'needed where two sites have a tag of this name')
    .option('--raw', 'times as they were stamped, without the corrections of clocks that were wrong')
    .option('--all', 'also samples that another instance tells better: overlaps and duplicates of a takeover')
    .option('--csv', 'comma-separated values')
    .option('--json', 'one JSON object a line')
    .action(async (options: QueryOptions) => {
      const { zone, ...interval } = intervalOf(options, DEFAULT_FROM, nowUs());
      const { tag, site } = options;
      const withMarked = options.all === true;
      const asked = { tag, ...(site === undefined ? {} : { site }), ...interval, withMarked };
      await using queries = await open(options);
      const format = queryFormat(options);
      const answer = queries.query(asked);
      const told = options.raw === true ? asStamped(answer) : answer;
      const lines = renderQuery(told, format, (text) => inZone(text, zone));
      for await (const text of lines) context.output.line(text);
    });
  addCompleteness(command, { context, open, nowUs });
  addExport(command, { context, open, nowUs });
  withSource(command.command('stat').description('sizes of the archive'))
    .option('--json', 'one JSON object')
    .action(async (options: ArchiveSource & { readonly json?: boolean }) => {
      await using queries = await open(options);
      const stat = await queries.stat();
      for (const text of renderStat(stat, options.json === true)) context.output.line(text);
    });
  withSource(command.command('tags').description('names of the tags that the archive has'))
    .option('--site <name>', 'of one site only')
    .option('--json', 'one JSON object a line')
    .action(async (options: ArchiveSource & { readonly site?: string; readonly json?: boolean }) => {
      await using queries = await open(options);
      for (const tag of await queries.tags(options.site)) {
        context.output.line(options.json === true ? JSON.stringify(tag) : `${tag.site}\t${tag.name}`);
      }
    });
  return command;
}

function queryFormat({ csv, json }: QueryOptions): QueryFormat {
  if (csv === true && json === true) throw new KomError('KOM_USAGE', '--csv and --json exclude each other');
  if (json === true) return 'json';
  return csv === true ? 'csv' : 'table';
}

const HEADING = ['time', 'value', 'quality', 'cause', 'state', 'until', 'reason'];

/**
 * Lines of an answer. In CSV and the table a segment that is not data is a row of its own, with `until` set
 * and no value, so that nobody draws a line over a hole; in JSON every segment is there.
 */
export async function* renderQuery(
  lines: AsyncIterable<QueryLine>,
  format: QueryFormat,
  time: (text: string) => string = (text) => text,
): AsyncGenerator<string> {
  const row = format === 'csv' ? csvRow : tableRow;
  let isFirst = true;
  for await (const utc of lines) {
    const line = timed(utc, time);
    // Behind the first line of the answer, so that a question without one prints no heading.
    if (isFirst && format !== 'json') yield row(HEADING);
    isFirst = false;
    if (format === 'json') yield JSON.stringify(line);
    else {
      const cells = cellsOf(line);
      if (cells !== undefined) yield row(cells);
    }
  }
}

/** The samples with their times as they came, in the order of the right ones. */
async function* asStamped(lines: AsyncIterable<QueryLine>): AsyncGenerator<QueryLine> {
  for await (const line of lines) yield line.kind === 'sample' ? { ...line, time: line.rawTime } : line;
}

/** An answer's line with its times written in another way. */
function timed(line: QueryLine, time: (text: string) => string): QueryLine {
  if (line.kind === 'segment') return { ...line, from: time(line.from), to: time(line.to) };
  if (line.kind !== 'sample') return line;
  const deviceTime = line.deviceTime === null ? null : time(line.deviceTime);
  return {
    ...line,
    ...{ time: time(line.time), rawTime: time(line.rawTime), deviceTime },
    receivedTime: time(line.receivedTime),
  };
}

function cellsOf(line: QueryLine): readonly string[] | undefined {
  if (line.kind === 'sample') {
    const value = line.value === null ? '' : String(line.value);
    return [line.time, value, line.qualityName, line.cause, line.state, '', ''];
  }
  if (line.kind === 'tag' || line.state === 'data') return undefined;
  return [line.from, '', '', '', line.state, line.to, line.reason ?? ''];
}

/** RFC 4180, section 2: quoted where it must be, quotes doubled. */
function csvRow(cells: readonly string[]): string {
  return cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',');
}

const TABLE_WIDTHS = [32, 24, 14, 11, 8, 32, 0];

function tableRow(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.replaceAll(/[\p{Cc}]/gu, ' ').padEnd(TABLE_WIDTHS[index] ?? 0))
    .join('  ')
    .trimEnd();
}

/** Sizes for a person, or as one JSON line. */
export function renderStat(stat: StatAnswer, json: boolean): string[] {
  if (json) return [JSON.stringify(stat)];
  const time = (timeUs: number | null): string => (timeUs === null ? 'none' : formatTimeUs(timeUs));
  return [
    `samples  ${stat.samples}`,
    ...(stat.marked.overlap + stat.marked.duplicate === 0
      ? []
      : [`marked   ${stat.marked.overlap} overlaps, ${stat.marked.duplicate} duplicates`]),
    `tags     ${stat.tags}`,
    `streams  ${stat.streams}`,
    `gaps     ${stat.gaps}`,
    `size     ${formatSize(stat.sizeBytes)}`,
    `oldest   ${time(stat.oldestUs)}`,
    `newest   ${time(stat.newestUs)}`,
    ...(stat.unresolved ?? []).map(({ site, process, streamId, first, last }) => {
      return `unresolved  ${site}/${process}: ${first} to ${last} of stream ${streamId}; nobody has them`;
    }),
  ];
}
