import { Command } from 'commander';
import { type ExportFilter, exportRing } from '../buffer/export.ts';
import { replaysOf } from '../buffer/replay-requests.ts';
import { verifyRing } from '../buffer/verify.ts';
import { KomError } from '../domain/errors.ts';
import { formatSize, formatTimeUs, parseTimeUs } from '../domain/units.ts';
import { addBufferCommands, selectionOf } from './buffer-commands.ts';
import { reportLines, reportOf } from './buffer-report.ts';
import { CSV_HEADER, csvRow, jsonRow, unreadableText } from './buffer-rows.ts';
import { type BufferSource, checkSource, openBuffers } from './buffer-source.ts';
import { ExitCode } from './exit-codes.ts';
import { KERNEL_HELP, printCommand } from './operator.ts';
import type { Output } from './output.ts';
import type { CommandContext } from './program.ts';

interface RangeOptions extends BufferSource {
  readonly stream?: string;
  readonly from?: string;
  readonly to?: string;
}

const BATCH_LENGTH = 64 * 1024;

const nowUs = (): number => Date.now() * 1000;

/** `kom buffer`: what is in the ring, and what is to become of it. */
export function bufferCommand(context: CommandContext): Command {
  const command = new Command('buffer')
    .description('Looks into the ring buffer: through the running agent, or by itself when none runs.')
    .addHelpText(
      'after',
      '\nAt rest the databases are opened exclusively, one at a time; no stream is started and nothing is' +
        '\nrepaired. Beyond LevelDB reading its own logs, the files stay as they are.',
    );
  statCommand(command, context);
  verifyCommand(command, context);
  exportCommand(command, context);
  replayCommand(command, context);
  addBufferCommands(command, context);
  return command;
}

function withSource(command: Command): Command {
  return command
    .option('--config <site.json>', 'the site file')
    .option('--server <name>', 'the comm server of the site file')
    .option('--process <name>', 'only this process')
    .option('--socket <path>', 'the control socket of a running agent')
    .option('--dir <directory>', "a ring's own directory, with no agent running");
}

function withRange(command: Command): Command {
  return withSource(command)
    .option('--stream <id>', 'only this stream; the beginning of its id is enough')
    .option('--from <time>', 'ISO 8601 (UTC unless it says otherwise), "now" or "-10min"')
    .option('--to <time>', 'end of the time, not part of it');
}

function statCommand(command: Command, { output }: CommandContext): void {
  withSource(command.command('stat').description('what is held, for how long it lasts, and what was lost'))
    .option('--gaps', 'the last 1,000 losses that a Kernel knows of too, each with its range and times')
    .option('--json', 'one JSON object a line for each ring')
    .action(async (options: BufferSource & { readonly gaps?: true; readonly json?: true }) => {
      for await (const view of openBuffers(options)) {
        const withTold = options.gaps === true;
        const report = reportOf(await view.inspection.facts(), { ...view, withTold });
        if (options.json === true) output.line(JSON.stringify(report));
        else for (const line of reportLines(report, nowUs())) output.line(line);
      }
    });
}

function verifyCommand(command: Command, { output, exit }: CommandContext): void {
  withSource(command.command('verify').description('reads every block; exit code 1 if anything is wrong'))
    .option('--json', 'one JSON object a line for each problem, then one for each ring')
    .action(async (options: BufferSource & { readonly json?: true }) => {
      for await (const { name, inspection } of openBuffers(options)) {
        const found = verifyRing(inspection);
        let step = await found.next();
        for (; step.done !== true; step = await found.next()) {
          const { segment, position, streamId, what } = step.value;
          if (options.json === true) output.line(JSON.stringify({ name, ...step.value }));
          else {
            const place = [segment, position === null ? null : `position ${position}`, streamId];
            output.line(`${name}: ${place.filter((part) => part !== null).join(', ')}: ${what}`);
          }
        }
        const { segments, blocks, samples, bytes, problems } = step.value;
        if (problems > 0) exit(ExitCode.failed);
        output.line(
          options.json === true
            ? JSON.stringify({ name, segments, blocks, samples, bytes, problems })
            : `${name}: ${blocks} blocks, ${samples} samples, ${formatSize(bytes)} in ${segments} segments;` +
                ` ${problems === 0 ? 'all is well' : `${problems} problems`}`,
        );
      }
    });
}

function exportCommand(command: Command, { output, exit }: CommandContext): void {
  withRange(command.command('export').description('what the ring holds, gaps as rows of their own'))
    .option('--csv', 'comma-separated values (the default)')
    .option('--jsonl', 'one JSON object a line')
    .option('--tag <name...>', 'only these tags, by full name, and gaps that concern them')
    .action(
      async (
        options: RangeOptions & { readonly csv?: true; readonly jsonl?: true; readonly tag?: string[] },
      ) => {
        if (options.csv === true && options.jsonl === true) {
          throw new KomError('KOM_USAGE', '--csv and --jsonl exclude each other');
        }
        const filter: ExportFilter = {
          ...rangeOf(options),
          ...(options.tag === undefined ? {} : { tags: options.tag }),
          ...(options.stream === undefined ? {} : { stream: options.stream }),
        };
        const format = options.jsonl === true ? jsonRow : csvRow;
        const lines = new LineBatch(output);
        if (options.jsonl !== true) lines.add(CSV_HEADER);
        const without = new Set(filter.tags);
        for await (const { name, inspection } of openBuffers(options)) {
          for await (const row of exportRing(inspection, filter)) {
            lines.add(format(row));
            if (row.kind === 'sample') without.delete(row.tag.name);
            if (row.kind !== 'unreadable') continue;
            output.note(`${name}: ${unreadableText(row)}`);
            exit(ExitCode.failed);
          }
        }
        lines.flush();
        for (const name of without) output.note(`no sample of ${name} is there`);
      },
    );
}

/** Lines that are written together: a write for each of millions costs more than making them. */
class LineBatch {
  readonly #output: Output;
  #text = '';

  constructor(output: Output) {
    this.#output = output;
  }

  add(line: string): void {
    this.#text += this.#text === '' ? line : `\n${line}`;
    if (this.#text.length >= BATCH_LENGTH) this.flush();
  }

  flush(): void {
    if (this.#text !== '') this.#output.line(this.#text);
    this.#text = '';
  }
}

function replayCommand(command: Command, context: CommandContext): void {
  const { output } = context;
  withRange(
    command
      .command('replay')
      .description('the running agent sends again what it still holds; the Kernel trims what it has'),
  )
    .option('--json', 'one JSON object a line for each range')
    .option('--repair', 'the Kernel deletes what it has of it and inserts it again')
    .option('--kernel <file>', `${KERNEL_HELP}: it asks the agent of --process`)
    .action(
      async (
        options: RangeOptions & { readonly json?: true; readonly repair?: true; readonly kernel?: string },
      ) => {
        if (options.stream === undefined && options.from === undefined) {
          throw new KomError('KOM_USAGE', 'what is to be sent again?', {
            expected: '--stream, or --from and --to',
          });
        }
        checkSource(options);
        if (options.repair === true || options.kernel !== undefined) {
          const repair = options.repair === true ? { repair: true } : {};
          return await printCommand(context, options, {
            name: 'replay',
            parameters: { ...selectionOf(options), ...repair },
          });
        }
        let count = 0;
        const time = {
          ...rangeOf(options),
          ...(options.stream === undefined ? {} : { stream: options.stream }),
        };
        for await (const view of openBuffers(options)) {
          for (const request of replaysOf(await view.inspection.facts(), time)) {
            await view.replay(request);
            const { streamId, first, last } = request;
            count += 1;
            const of = `${view.name}: ${streamId} ${first}–${last}`;
            output.line(
              options.json === true
                ? JSON.stringify({ name: view.name, ...request })
                : `${of}${spanOf(request)} is sent again`,
            );
          }
        }
        if (count === 0) throw new KomError('KOM_USAGE', 'the ring holds nothing of that');
      },
    );
}

/** Of a request that is bounded in time, the blocks of which are only looked for when they are sent. */
function spanOf({ fromUs, toUs }: { readonly fromUs?: number; readonly toUs?: number }): string {
  const from = fromUs === undefined ? '' : ` from ${formatTimeUs(fromUs)}`;
  const to = toUs === undefined ? '' : ` to ${formatTimeUs(toUs)}`;
  return from === '' && to === '' ? '' : `, what of it is${from}${to},`;
}

function rangeOf(options: RangeOptions): { fromUs?: number; toUs?: number } {
  const time = (name: 'from' | 'to'): number | undefined => {
    const text = options[name];
    const parsed = text === undefined ? undefined : parseTimeUs(text, nowUs());
    if (parsed !== null) return parsed;
    throw new KomError('KOM_USAGE', `--${name} is not a time`, {
      expected: '"2026-11-22T20:15:00Z", "-10min" or "now"',
      got: String(text),
    });
  };
  const fromUs = time('from');
  const toUs = time('to');
  if (fromUs !== undefined && toUs !== undefined && fromUs >= toUs) {
    throw new KomError('KOM_USAGE', '--from is not before --to');
  }
  return { ...(fromUs === undefined ? {} : { fromUs }), ...(toUs === undefined ? {} : { toUs }) };
}
