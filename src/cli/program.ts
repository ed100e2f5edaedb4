import { Command, CommanderError } from 'commander';
import { describeError, type ErrorCode, isKomError } from '../domain/errors.ts';
import { ExitCode } from './exit-codes.ts';
import { type Output, processOutput } from './output.ts';
import { programVersion } from './version.ts';

/** One subcommand: a file of this folder each. `action` sets the exit code through the context. */
export type SubcommandFactory = (context: CommandContext) => Command;

/** What a subcommand gets from the program. */
export interface CommandContext {
  readonly output: Output;
  /** Sets the exit code of the process; `ok` if never called. */
  exit(code: number): void;
}

/** Loaders, so that `kom check` does not pay for loading a database or OPC UA. */
const SUBCOMMANDS: Readonly<Record<string, () => Promise<SubcommandFactory>>> = {
  check: async () => (await import('./check.ts')).checkCommand,
  init: async () => (await import('./init.ts')).initCommand,
  run: async () => (await import('./run.ts')).runCommand,
  kernel: async () => (await import('./kernel.ts')).kernelCommand,
  reload: async () => (await import('./reload.ts')).reloadCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  buffer: async () => (await import('./buffer.ts')).bufferCommand,
  station: async () => (await import('./station.ts')).stationCommand,
  switch: async () => (await import('./switch.ts')).switchCommand,
  audit: async () => (await import('./audit.ts')).auditCommand,
  archive: async () => {
    const { archiveCommand } = await import('./archive.ts');
    const { openArchiveQueries } = await import('./archive-source.ts');
    return (context) => archiveCommand(context, openArchiveQueries);
  },
  pki: async () => (await import('./pki.ts')).pkiCommand,
  sim: async () => (await import('./sim.ts')).simCommand,
  demo: async () => (await import('./demo/demo.ts')).demoCommand,
  schema: async () => (await import('./schema.ts')).schemaCommand,
};

/** What the caller can mend in the command line or in a file; everything else is the world outside. */
const USAGE_ERRORS: ReadonlySet<ErrorCode> = new Set([
  'KOM_USAGE',
  'KOM_CONFIG_INVALID',
  'KOM_CONFIG_UNREADABLE',
]);

const EXIT_CODE_HELP = `
Exit codes:
  0   done
  1   the answer is no: a proof failed, a check found damage
  2   the command line or a configuration file is not usable
  3   it was done, and whom it concerns has not said so in time
  69  something outside is not there, or is taken: no running agent, a used port or directory
  70  a bug in kom itself`;

/** Runs a command line and returns the exit code of the process. */
export async function runCommandLine(
  args: readonly string[],
  output: Output = processOutput,
): Promise<number> {
  let exitCode: number = ExitCode.ok;
  const context: CommandContext = {
    output,
    exit: (code) => {
      exitCode = code;
    },
  };
  const program = new Command('kom')
    .description('Store-and-forward communication agent: every sample once and in order, or a gap record.')
    .version(programVersion())
    .addHelpText('after', EXIT_CODE_HELP);
  const wanted = args.find((arg) => !arg.startsWith('-')) ?? '';
  const names = Object.hasOwn(SUBCOMMANDS, wanted) ? [wanted] : Object.keys(SUBCOMMANDS);
  for (const name of names) {
    const factory = await SUBCOMMANDS[name]?.();
    if (factory !== undefined) program.addCommand(factory(context));
  }
  govern(program, output);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    if (!isKomError(error)) throw error;
    output.note(`kom: ${describeError(error)} [${error.code}]`);
    if (error.code === 'KOM_SWITCH_REFUSED') return ExitCode.failed;
    if (error.code === 'KOM_SWITCH_UNCONFIRMED') return ExitCode.unconfirmed;
    return USAGE_ERRORS.has(error.code) ? ExitCode.usage : ExitCode.unavailable;
  }
  return exitCode;
}

/** A command that is added takes over nothing of its parent: each is told not to exit and where to print. */
function govern(command: Command, output: Output): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => output.line(text.trimEnd()),
    writeErr: (text) => output.note(text.trimEnd()),
  });
  for (const subcommand of command.commands) govern(subcommand, output);
}
