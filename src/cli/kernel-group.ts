import { Command } from 'commander';
import { loadKernelConfig } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { formatDuration, formatSize } from '../domain/units.ts';
import type { KernelStatus } from '../kernel/kernel.ts';
import { callControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { ExitCode } from './exit-codes.ts';
import { who } from './operator.ts';
import type { CommandContext } from './program.ts';

interface SwitchOptions {
  readonly to: string;
  readonly force?: true;
  readonly json?: true;
}

/** `kom kernel switch kernel.json --to NAME`: another Kernel becomes hot. */
export function kernelSwitchCommand({ output }: CommandContext): Command {
  return new Command('switch')
    .description('Makes another Kernel of the group hot.')
    .argument('<kernel.json>', 'the configuration of the Kernel that runs here')
    .requiredOption('--to <name>', 'the Kernel that is to be hot')
    .option('--force', 'at that Kernel itself, while the hot one does not answer: above every epoch')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nAt the hot Kernel: agents are sent away, the other one gets what is missing, then it is hot.' +
        '\nRefused, with the reason, while the other one does not have everything.' +
        '\n--force prints what the Kernel may lack. See docs/KERNELS.md.',
    )
    .action(async (file: string, options: SwitchOptions) => {
      const { to, force, json } = options;
      const params = { to, force: force === true, ...who() };
      const answer = (await callKernel(file, 'kernel-switch', params)) as {
        readonly lacks: readonly string[];
      };
      if (json === true) return output.line(JSON.stringify(answer));
      output.line(`${to} is hot`);
      for (const text of answer.lacks) output.line(`  ${text}`);
    });
}

/** `kom kernel status kernel.json`: what this Kernel is, and how the others follow. */
export function kernelStatusCommand({ output, exit }: CommandContext): Command {
  return new Command('status')
    .description('Shows what a running Kernel does; exit code 1 if an alarm stands.')
    .argument('<kernel.json>', 'the configuration of the Kernel that runs here')
    .option('--json', 'print JSON')
    .action(async (file: string, { json }: { readonly json?: true }) => {
      const status = (await callKernel(file, 'status', {})) as KernelStatus;
      if (json === true) output.line(JSON.stringify(status));
      else for (const line of statusLines(status)) output.line(line);
      if (status.alarms.length > 0) exit(ExitCode.failed);
    });
}

/** `kom kernel reload kernel.json`: takes anew which other Kernels there are; the same as SIGHUP. */
export function kernelReloadCommand({ output }: CommandContext): Command {
  return new Command('reload')
    .description(
      'Takes the other Kernels of the group from the file anew; nothing else of it may have changed.',
    )
    .argument('<kernel.json>', 'the configuration of the Kernel that runs here')
    .action(async (file: string) => {
      const { kernels } = (await callKernel(file, 'kernel-reload', {})) as {
        readonly kernels: readonly string[];
      };
      output.line(`the other Kernels: ${kernels.join(', ')}`);
    });
}

function* statusLines({ version, archiveError, group, alarms, processes }: KernelStatus): Generator<string> {
  const connected = processes.filter(({ isConnected }) => isConnected).length;
  yield `kom ${version}, ${connected} of ${processes.length} processes connected`;
  if (archiveError !== null) yield `the archive takes nothing: ${archiveError}`;
  if (group === null) {
    yield 'the only Kernel';
    return;
  }
  const { name, role, epoch, hot, inSync, ringBytes, kernels } = group;
  yield `${name}: ${role}, epoch ${epoch}, hot: ${hot || 'unknown'}, in-sync set: ${inSync.join(', ')}`;
  yield `forwarding ring: ${formatSize(ringBytes)}`;
  for (const other of kernels) yield `  ${other.name}: ${otherText(other, role === 'hot')}`;
  if (alarms.length === 0) yield 'no alarm';
  for (const { code, text } of alarms) yield `ALARM ${code}: ${text}`;
}

function otherText(
  {
    isConnected,
    lastError,
    behindMs,
    outstandingBytes,
  }: NonNullable<KernelStatus['group']>['kernels'][number],
  isHot: boolean,
): string {
  if (!isConnected) return lastError ?? 'not connected yet';
  if (!isHot || behindMs === null) return 'connected';
  return behindMs === 0
    ? 'connected, has everything'
    : `connected, ${formatDuration(behindMs)} behind, ${formatSize(outstandingBytes)} on their way`;
}

async function callKernel(file: string, method: string, params: Readonly<Record<string, unknown>>) {
  const { config } = await loadKernelConfig(file);
  const path = config.controlSocket;
  for await (const item of callControl({ transport: createTcpTransport(), path, method, params }))
    return item;
  throw new KomError('KOM_CONNECTION_LOST', 'the Kernel answered nothing');
}
