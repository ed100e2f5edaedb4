import { Command } from 'commander';
import type { ExercisedLine } from '../agent/fitness.ts';
import { KomError } from '../domain/errors.ts';
import { callOperator, type OperatorOptions, printCommand, target, who, withOperator } from './operator.ts';
import type { CommandContext } from './program.ts';

interface SwitchOptions extends OperatorOptions {
  readonly to?: string;
  readonly prefer?: string;
  readonly exercise?: true;
  readonly force?: true;
}

/** `kom switch PROCESS --to 2 | --prefer 1 | --exercise`. */
export function switchCommand(context: CommandContext): Command {
  const command = new Command('switch')
    .description('Makes another instance of a process active, or says which one is preferred.')
    .argument('<process>', 'the process that two comm servers run, by name')
    .option('--to <instance>', 'the instance that is to be active now')
    .option(
      '--prefer <instance>',
      'the instance that is active where nothing else decides; 0: as the file says',
    )
    .option('--exercise', 'only tests whether this instance could take over each line')
    .option('--force', 'with --to: also where it would lose data, or the other instance is not fit')
    .addHelpText(
      'after',
      '\nThe active instance stops, what it holds is safe, then the other one begins. It is refused, with' +
        '\nthe reason, while the other instance is not connected, not fit, or lacks what the active one' +
        '\nholds. With --kernel the Kernel decides; else the agent here, also without any Kernel.' +
        '\nThe gap of it is declared with the reason takeover. See docs/REDUNDANCY.md.',
    );
  return withOperator(command).action((process: string, options: SwitchOptions) =>
    change(context, { ...options, process }),
  );
}

async function change(context: CommandContext, options: SwitchOptions): Promise<void> {
  const { to, prefer, exercise, force } = options;
  const wanted = [to, prefer, exercise].filter((each) => each !== undefined);
  if (wanted.length !== 1) {
    throw new KomError('KOM_USAGE', 'what is to be done?', { expected: '--to 2, --prefer 1, or --exercise' });
  }
  if (exercise === true) {
    const answer = { name: 'exercise', parameters: {}, lines: exercisedLines };
    return await printCommand(context, options, answer);
  }
  const isSwitch = to !== undefined;
  const instance = numberOf(isSwitch ? '--to' : '--prefer', to ?? prefer);
  const parameters = isSwitch ? { to: instance, force: force === true } : { instance };
  const name = isSwitch ? 'switch' : 'prefer';
  if (options.kernel === undefined) return await printCommand(context, options, { name, parameters });
  // Who is active is the Kernel's to decide; the agents hear of it with their leases.
  const params = { ...parameters, ...who(), ...target(options) };
  for (const item of await callOperator(options, name, params)) {
    context.output.line(options.json === true ? JSON.stringify(item) : answerText(item, isSwitch, instance));
  }
}

function answerText(item: unknown, isSwitch: boolean, instance: number): string {
  const { process, text } = item as { readonly process: string; readonly text?: string };
  return `${process}: ${text ?? (isSwitch ? `instance ${instance} is to be active` : 'done')}`;
}

function* exercisedLines(item: unknown): Generator<string> {
  const { line, outcome, error } = item as ExercisedLine;
  yield `${line}: ${outcome}${error === null ? '' : `: ${error}`}`;
}

function numberOf(option: string, text: string | undefined): number {
  const number = Number(text);
  if (text !== undefined && text.trim() !== '' && Number.isInteger(number) && number >= 0) return number;
  throw new KomError('KOM_USAGE', `${option} is the number of an instance`, { got: String(text) });
}
