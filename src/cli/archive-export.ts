import { resolve } from 'node:path';
import type { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import type { ExportQuery } from '../world/archive.ts';
import { type ArchiveContext, type ArchiveSource, withSource } from './archive-access.ts';
import { type IntervalOptions, intervalOf, withInterval } from './archive-interval.ts';

const DEFAULT_FROM = '-1d';

interface ExportOptions extends ArchiveSource, IntervalOptions {
  readonly parquet?: string;
  readonly csv?: string;
  readonly tag?: readonly string[];
  readonly site?: string;
  readonly all?: boolean;
}

/** `kom archive export`. */
export function addExport(archive: Command, { context, open, nowUs }: ArchiveContext): void {
  const command = withSource(archive.command('export'))
    .description('samples into a new file, which the process that has the archive open writes; times in UTC')
    .option('--parquet <file>', 'as Parquet, compressed with zstd')
    .option('--csv <file>', 'as comma-separated values')
    .option('--tag <name...>', 'full names; without it all tags, in no order');
  withInterval(command, DEFAULT_FROM)
    .option('--site <name>', 'of one site only')
    .option('--all', 'also samples that another instance tells better')
    .action(async (options: ExportOptions) => {
      const { fromUs, toUs } = intervalOf(options, DEFAULT_FROM, nowUs());
      const query: ExportQuery = {
        ...fileOf(options),
        ...(options.site === undefined ? {} : { site: options.site }),
        ...{ tags: options.tag ?? [], fromUs, toUs, withMarked: options.all === true },
      };
      await using queries = await open(options);
      const rows = await queries.export(query);
      context.output.line(`${rows} samples in ${query.path}`);
    });
}

function fileOf({ parquet, csv }: ExportOptions): Pick<ExportQuery, 'format' | 'path'> {
  if (parquet !== undefined && csv === undefined) return { format: 'parquet', path: resolve(parquet) };
  if (csv !== undefined && parquet === undefined) return { format: 'csv', path: resolve(csv) };
  throw new KomError('KOM_USAGE', 'an export names one file: --parquet <file> or --csv <file>');
}
