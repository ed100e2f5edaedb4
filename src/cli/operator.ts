import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { loadSite } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { callControl } from '../ops/control.ts';
import type { CommandOutcome } from '../uplink/messages.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { ExitCode } from './exit-codes.ts';
import { kernelSocketAt } from './kernel-socket.ts';
import type { CommandContext } from './program.ts';
import { chooseServer } from './run.ts';

/** Which agent is meant, and by which way. */
export interface OperatorOptions {
  readonly config?: string;
  readonly server?: string;
  readonly process?: string;
  readonly socket?: string;
  readonly kernel?: string;
  readonly site?: string;
  readonly instance?: string;
  readonly json?: true;
}

/** The answer to a command. */
export interface CommandAnswer {
  readonly commandId: string;
  readonly process: string;
  readonly outcome: CommandOutcome;
  readonly text: string;
  readonly items: readonly unknown[];
}

/** What `--kernel` takes wherever a running Kernel is asked. */
export const KERNEL_HELP = 'the configuration file of the Kernel that runs here, or its control socket';

/** The options that say which agent is meant. */
export function withOperator(command: Command): Command {
  return command
    .option('--config <site.json>', 'the site file, to find the control socket of the agent here')
    .option('--server <name>', 'the comm server of the site file')
    .option('--process <name>', 'the process that is meant')
    .option('--socket <path>', 'the control socket of the agent')
    .option('--kernel <file>', `${KERNEL_HELP}: it gives the command to the agent`)
    .option('--site <name>', 'with --kernel: the site, where several have such a process')
    .option('--instance <number>', 'with --kernel: the instance, where several are connected')
    .option('--json', 'print JSON');
}

/**
 * Gives a command, here or through the Kernel. An answer other than "done" sets the exit code.
 * @throws KomError KOM_USAGE, KOM_NOT_RUNNING
 */
export async function giveCommand(
  context: CommandContext,
  options: OperatorOptions,
  wanted: { readonly name: string; readonly parameters: Readonly<Record<string, unknown>> },
): Promise<CommandAnswer> {
  const [answer] = await callOperator(options, 'command', { ...wanted, ...who(), ...target(options) });
  if (answer === undefined) throw new KomError('KOM_CONNECTION_LOST', 'the other side answered nothing');
  const { outcome } = answer as CommandAnswer;
  if (outcome !== 'done') context.exit(ExitCode.failed);
  return answer as CommandAnswer;
}

/** As `giveCommand`, and prints the answer; items by `lines`, or as JSON. */
export async function printCommand(
  context: CommandContext,
  options: OperatorOptions,
  wanted: {
    readonly name: string;
    readonly parameters: Readonly<Record<string, unknown>>;
    readonly lines?: (item: unknown) => Iterable<string>;
  },
): Promise<void> {
  const answer = await giveCommand(context, options, wanted);
  if (options.json === true) return context.output.line(JSON.stringify(answer));
  const { process, outcome, text, items } = answer;
  if (outcome === 'done' && items.length > 0 && wanted.lines !== undefined) {
    for (const item of items) for (const line of wanted.lines(item)) context.output.line(line);
  } else context.output.line(`${process}: ${outcome === 'done' ? '' : `${outcome}: `}${text}`);
}

/** Items of a method of the agent's control socket, or with `--kernel` of the Kernel's. */
export async function callOperator(
  options: OperatorOptions,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Promise<unknown[]> {
  const path = await socketOf(options);
  const items: unknown[] = [];
  for await (const item of callControl({ transport: createTcpTransport(), path, method, params })) {
    items.push(item);
  }
  return items;
}

/** What the options say of the agent that is meant. @throws KomError KOM_USAGE */
export function target({ process, site, instance }: OperatorOptions): Readonly<Record<string, unknown>> {
  const number = instance === undefined ? undefined : Number(instance);
  if (number !== undefined && !Number.isSafeInteger(number)) {
    throw new KomError('KOM_USAGE', '--instance is a number', { got: String(instance) });
  }
  return {
    ...(process === undefined ? {} : { process }),
    ...(site === undefined ? {} : { site }),
    ...(number === undefined ? {} : { instance: number }),
  };
}

async function socketOf({ kernel, socket, config, server }: OperatorOptions): Promise<string> {
  if (kernel !== undefined) return await kernelSocketAt(kernel);
  if (socket !== undefined) return socket;
  if (config === undefined) {
    throw new KomError('KOM_USAGE', 'which agent?', {
      expected: '--config, --socket, or --kernel with --process',
    });
  }
  const { site } = await loadSite(config, { secretsOptional: true });
  return chooseServer(site, server).controlSocket;
}

/** Who asks, for the audit. */
export function who(): { readonly operator: string; readonly host: string } {
  return { operator: userInfo().username, host: hostname() };
}
