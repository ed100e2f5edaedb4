import { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import { formatSize, formatTimeUs, parseTimeUs } from '../domain/units.ts';
import type { ArchiveQueries, QueryLine } from '../kernel/archive/query.ts';
import type { ArchiveStat } from '../world/archive.ts';
import type { CommandContext } from './program.ts';

/** Where the archive is: a Kernel's configuration file, or the control socket of a running one. */
export interface ArchiveSource {
  readonly kernel?: string;
  readonly socket?: string;
}

/** Reaches a running Kernel, or opens the archive itself when none runs. */
export type OpenArchiveQueries = (source: ArchiveSource) => Promise<ArchiveQueries & AsyncDisposable>;

export type QueryFormat = 'table' | 'csv' | 'json';

interface QueryOptions extends ArchiveSource {
  readonly tag: string;
  readonly from: string;
  readonly to: string;
  readonly site?: string;
  readonly csv?: boolean;
  readonly json?: boolean;
}

/** `kom archive`: `query`, `stat`, `tags`. */
export function archiveCommand(
  context: CommandContext,
  open: OpenArchiveQueries,
  nowUs: () => number = () => Date.now() * 1000,
): Command {
  const command = new Command('archive').description('ask the archive of a Kernel');
  const withSource = (subcommand: Command): Command =>
    subcommand
      .option('--kernel <file>', "the Kernel's configuration file", 'kernel.json')
      .option('--socket <path>', 'control socket of the running Kernel');
  withSource(command.command('query').description('history of one tag; holes are rows of their own'))
    .requiredOption('--tag <name>', 'full name of the tag')
    .option('--from <time>', 'ISO 8601 (UTC unless it says otherwise), "now" or "-10min"', '-1h')
    .option('--to <time>', 'end of the interval, not part of it', 'now')
    .option('--site <name>', 'needed where two sites have a tag of this name')
    .option('--csv', 'comma-separated values')
    .option('--json', 'one JSON object a line')
    .action(async (options: QueryOptions) => {
      const query = parseQuery(options, nowUs());
      await using queries = await open(options);
      const format = queryFormat(options);
      for await (const text of renderQuery(queries.query(query), format)) context.output.line(text);
    });
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

function parseQuery(options: QueryOptions, nowUs: number) {
  const time = (name: 'from' | 'to'): number => {
    const parsed = parseTimeUs(options[name], nowUs);
    if (parsed !== null) return parsed;
    throw new KomError('KOM_USAGE', `--${name} is not a time`, {
      expected: '"2026-11-22T20:15:00Z", "-10min" or "now"',
      got: options[name],
    });
  };
  const query = { tag: options.tag, fromUs: time('from'), toUs: time('to') };
  if (query.fromUs >= query.toUs) throw new KomError('KOM_USAGE', '--from is not before --to');
  return options.site === undefined ? query : { ...query, site: options.site };
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
): AsyncGenerator<string> {
  const row = format === 'csv' ? csvRow : tableRow;
  let isFirst = true;
  for await (const line of lines) {
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

const TABLE_WIDTHS = [27, 24, 14, 11, 8, 27, 0];

function tableRow(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.replaceAll(/[\p{Cc}]/gu, ' ').padEnd(TABLE_WIDTHS[index] ?? 0))
    .join('  ')
    .trimEnd();
}

/** Sizes for a person, or as one JSON line. */
export function renderStat(stat: ArchiveStat, json: boolean): string[] {
  if (json) return [JSON.stringify(stat)];
  const time = (timeUs: number | null): string => (timeUs === null ? 'none' : formatTimeUs(timeUs));
  return [
    `samples  ${stat.samples}`,
    `tags     ${stat.tags}`,
    `streams  ${stat.streams}`,
    `gaps     ${stat.gaps}`,
    `size     ${formatSize(stat.sizeBytes)}`,
    `oldest   ${time(stat.oldestUs)}`,
    `newest   ${time(stat.newestUs)}`,
  ];
}
