import { Argument, type Command } from 'commander';
import type { PoisonListItem } from '../agent/command-handlers.ts';
import type { RingDepth } from '../agent/depth.ts';
import { KomError } from '../domain/errors.ts';
import { formatTimeUs, parseTimeUs } from '../domain/units.ts';
import { callOperator, type OperatorOptions, printCommand, target, who, withOperator } from './operator.ts';
import type { CommandContext } from './program.ts';

export interface SelectOptions extends OperatorOptions {
  readonly stream?: string;
  readonly first?: string;
  readonly last?: string;
  readonly from?: string;
  readonly to?: string;
}

/** Subcommands of `kom buffer` that an agent carries out, asked here or through its Kernel. */
export function addBufferCommands(command: Command, context: CommandContext): void {
  withOperator(
    command.command('depth').description('how deep the rings reach: what may be asked for again'),
  ).action((options: OperatorOptions) =>
    printCommand(context, options, { name: 'depth', parameters: {}, lines: depthLines }),
  );
  withOperator(
    command
      .command('send-mode')
      .description('auto, or on-request: the backlog waits until it is released; live values go on')
      .addArgument(new Argument('<mode>', 'the mode; it outlives a restart').choices(['auto', 'on-request'])),
  ).action((mode: string, options: OperatorOptions) =>
    printCommand(context, options, { name: 'send-mode', parameters: { mode } }),
  );
  withSelection(
    command
      .command('release')
      .description('on request: lets go what is held up to now, or a stream or time of it'),
  ).action((options: SelectOptions) =>
    printCommand(context, options, { name: 'release', parameters: selectionOf(options) }),
  );
  withOperator(
    command
      .command('drop')
      .description('gives up what no Kernel has acknowledged: it becomes a gap with the reason dropped')
      .option('--yes', 'really do it'),
  ).action(async (options: OperatorOptions & { readonly yes?: true }) => {
    if (options.yes !== true) throw new KomError('KOM_USAGE', 'this loses data', { expected: '--yes' });
    await printCommand(context, options, { name: 'drop-backlog', parameters: {} });
  });
  poisonCommands(command, context);
}

/** Blocks that a Kernel refused: looked at, sent once more, or deleted. */
function poisonCommands(command: Command, { output }: CommandContext): void {
  const poison = command.command('poison').description('blocks that a Kernel refused, kept aside');
  const methods = { list: 'what is kept', retry: 'sends it once more', drop: 'deletes it' } as const;
  for (const [name, description] of Object.entries(methods)) {
    withOperator(
      poison
        .command(name)
        .description(description)
        .option('--stream <id>', 'only this stream; the beginning of its id is enough')
        .option('--first <sequence>', 'only the block that begins with it'),
    ).action(async (options: SelectOptions) => {
      if (options.kernel !== undefined)
        throw new KomError('KOM_USAGE', 'the poison folder is looked at where it is');
      const { stream, first } = selectionOf(options);
      const params = {
        ...who(),
        ...target(options),
        ...(stream === undefined ? {} : { stream }),
        ...(first === undefined ? {} : { first }),
      };
      const items = (await callOperator(options, `poison.${name}`, params)) as PoisonListItem[];
      for (const item of items) output.line(options.json === true ? JSON.stringify(item) : poisonLine(item));
      if (items.length === 0 && options.json !== true) output.line('nothing is kept aside');
    });
  }
}

function withSelection(command: Command): Command {
  return withOperator(command)
    .option('--stream <id>', 'only this stream; the beginning of its id is enough')
    .option('--first <sequence>', 'with --stream: from this number on')
    .option('--last <sequence>', 'with --stream: up to this number')
    .option('--from <time>', 'ISO 8601 (UTC unless it says otherwise), "now" or "-10min"')
    .option('--to <time>', 'end of the time, not part of it');
}

/** @throws KomError KOM_USAGE */
export function selectionOf(options: SelectOptions): Readonly<Record<string, unknown>> {
  const nowUs = Date.now() * 1000;
  const values = {
    stream: options.stream,
    first: numberOf('first', options.first),
    last: numberOf('last', options.last),
    fromUs: timeOf('from', options.from, nowUs),
    toUs: timeOf('to', options.to, nowUs),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new KomError('KOM_USAGE', `--${name} is a sequence number`, { got: text });
}

function timeOf(name: string, text: string | undefined, nowUs: number): number | undefined {
  if (text === undefined) return undefined;
  const timeUs = parseTimeUs(text, nowUs);
  if (timeUs !== null) return timeUs;
  throw new KomError('KOM_USAGE', `--${name} is not a time`, { got: text });
}

function* depthLines(item: unknown): Generator<string> {
  const { part, oldestUs, newestUs, samples, unacknowledgedSamples, streams } = item as RingDepth;
  const times =
    oldestUs === null || newestUs === null
      ? 'nothing'
      : `${formatTimeUs(oldestUs)} to ${formatTimeUs(newestUs)}`;
  yield `${part}: ${times}; ${samples} samples, ${unacknowledgedSamples} of them not acknowledged`;
  for (const { streamId, held, ackedThrough } of streams) {
    const ranges = held.map(({ first, last }) => `${first}–${last}`).join(', ');
    const acked = ackedThrough === null ? 'all of it' : `through ${ackedThrough}`;
    yield `  ${streamId}  ${ranges}; acknowledged ${acked}`;
  }
}

function poisonLine(item: PoisonListItem): string {
  const { process, part, streamId, firstSequence, lastSequence, reason, text, refusals, keptAtUs } = item;
  const range = `${streamId} ${firstSequence}–${lastSequence}`;
  const since = formatTimeUs(keptAtUs);
  return `${process} ${part}: ${range}: ${reason} since ${since}, ${refusals} times: ${text}`;
}
