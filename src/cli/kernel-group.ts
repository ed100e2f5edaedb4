import { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';
import { SILENT_MAX_MS } from '../kernel/alarms.ts';
import type { GroupStatus, OtherStatus } from '../kernel/group/group-status.ts';
import type { SharedStatus } from '../kernel/group/shared/shared-status.ts';
import type { KernelStatus } from '../kernel/kernel.ts';
import { callControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { ExitCode } from './exit-codes.ts';
import { type KernelPlace, kernelSocket, withKernelPlace } from './kernel-socket.ts';
import { who } from './operator.ts';
import type { CommandContext } from './program.ts';

/** A switch that takes longer than that says what it waits for. */
const QUIET_MS = 2000;

interface StatusOptions {
  readonly socket?: string;
  readonly json?: true;
}

interface SwitchOptions extends StatusOptions {
  readonly to: string;
  readonly force?: true;
}

/** `kom kernel switch kernel.json --to NAME`: another Kernel becomes hot. */
export function kernelSwitchCommand({ output }: CommandContext): Command {
  return withKernelPlace(new Command('switch'))
    .description('Makes another Kernel of the group hot.')
    .requiredOption('--to <name>', 'the Kernel that is to be hot')
    .option('--force', 'at that Kernel itself: above every epoch; at the hot one: also to a wrong clock')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nAt the hot Kernel: agents wait, the other one gets what is missing, then they go there.' +
        '\nRefused, with the reason, while the other one does not have everything.' +
        '\n--force prints what the Kernel may lack. See docs/KERNELS.md.',
    )
    .action(async (file: string | undefined, options: SwitchOptions) => {
      const { to, force, json, socket } = options;
      const params = { to, force: force === true, ...who() };
      const place = { file, socket };
      process.once('SIGINT', () => void cancelSwitch(place, output));
      const waits = setTimeout(() => output.note(waitsText(to)), QUIET_MS);
      const answer = await callKernel(place, 'kernel-switch', params).finally(() => clearTimeout(waits));
      const { lacks } = answer as { readonly lacks: readonly string[] };
      if (json === true) return output.line(JSON.stringify(answer));
      output.line(`${to} is hot`);
      for (const text of lacks) output.line(`  ${text}`);
    });
}

/** `kom kernel status kernel.json`: what this Kernel is, and how the others follow. */
export function kernelStatusCommand({ output, exit }: CommandContext): Command {
  return withKernelPlace(new Command('status'))
    .description('Shows what a running Kernel does; exit code 1 if an alarm stands.')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, { json, socket }: StatusOptions) => {
      const status = (await callKernel({ file, socket }, 'status', {})) as KernelStatus;
      if (json === true) output.line(JSON.stringify(status));
      else for (const line of statusLines(status)) output.line(line);
      if (status.alarms.length > 0) exit(ExitCode.failed);
    });
}

/** `kom kernel reload kernel.json`: takes anew which other Kernels there are; the same as SIGHUP. */
export function kernelReloadCommand({ output }: CommandContext): Command {
  return withKernelPlace(new Command('reload'))
    .description(
      'Takes the other Kernels of the group from the file anew; nothing else of it may have changed.',
    )
    .action(async (file: string | undefined, { socket }: { readonly socket?: string }) => {
      const { kernels } = (await callKernel({ file, socket }, 'kernel-reload', {})) as {
        readonly kernels: readonly string[];
      };
      output.line(`the other Kernels: ${kernels.join(', ')}`);
    });
}

/** `kom kernel acknowledge kernel.json`: what the archive lacks was seen. */
export function kernelAcknowledgeCommand({ output }: CommandContext): Command {
  return withKernelPlace(new Command('acknowledge'))
    .description('Ends the alarm kernel-regressed: somebody has seen what the archive lacks.')
    .action(async (file: string | undefined, { socket }: { readonly socket?: string }) => {
      const { values } = (await callKernel({ file, socket }, 'kernel-acknowledge', who())) as {
        readonly values: number;
      };
      output.line(values === 0 ? 'nothing is known to be missing' : `seen: ${values} values are missing`);
    });
}

function* statusLines(status: KernelStatus): Generator<string> {
  const { version, group, sharing, alarms } = status;
  yield `kom ${version}, ${agentsText(status)}`;
  if (sharing !== null) yield* sharingLines(sharing);
  else if (group !== null) yield* groupLines(group);
  else yield 'the only Kernel';
  if (alarms.length === 0) yield 'no alarm';
  for (const { code, text } of alarms) yield `ALARM ${code}: ${text}`;
}

/** Of agents a standby knows nothing: they have a session with the hot one only. */
function agentsText({ group, sharing, processes }: KernelStatus): string {
  const one = group ?? sharing;
  if (one !== null && one.role !== 'hot')
    return one.hot === '' ? 'agents wait for a hot Kernel' : `agents send their values to ${one.hot}`;
  const connected = processes.filter(({ isConnected }) => isConnected).length;
  return `${connected} of ${processes.length} processes connected`;
}

function* sharingLines(sharing: SharedStatus): Generator<string> {
  const { name, role, epoch, hot, twin, kernels } = sharing;
  const elsewhere = twin === null ? '' : `, the one at ${twin.from}`;
  const who = `${hot || 'nobody'}${hot === name ? elsewhere : ''}`;
  yield `${name}: ${role}, epoch ${epoch}, hot: ${who}, one archive for all`;
  for (const other of kernels) yield `  ${other.name}: ${other.isPresent ? 'at the database' : 'not there'}`;
}

function* groupLines(group: GroupStatus): Generator<string> {
  const { name, role, epoch, hot, ringBytes, kernels, overtaken } = group;
  yield `${name}: ${role}, epoch ${epoch}, hot: ${hot || 'unknown'}, ${inSyncText(group)}`;
  if (overtaken !== null) {
    const { by, epoch: since, atUs } = overtaken;
    yield `it was hot until ${formatTimeUs(atUs)}, when it heard that ${by} is, in epoch ${since}`;
  }
  yield `forwarding ring: ${formatSize(ringBytes)}`;
  for (const other of kernels) {
    const more = other.toGet > 0 ? `, and ${other.toGet} values that are not here` : '';
    const less = other.toGive > 0 ? `, lacks ${other.toGive} values that are here` : '';
    yield `  ${other.name}: ${otherText(other, role === 'hot')}${more}${less}`;
  }
}

/** A set that only the hot one changes is as old as its last word. */
export function inSyncText({ role, hot, inSync, kernels }: GroupStatus): string {
  const names = inSync.join(', ') || 'nobody';
  if (role === 'hot') return `in-sync set: ${names}`;
  const silentMs = kernels.find((each) => each.name === hot)?.silentMs ?? null;
  if (silentMs !== null && silentMs <= SILENT_MAX_MS) return `in-sync set: ${names}`;
  const when = silentMs === null ? 'not heard since the start' : `not heard for ${formatDuration(silentMs)}`;
  return `in-sync set as last known: ${names} (${hot || 'a hot one'} ${when})`;
}

/** Whoever is no more behind follows: what it lacks is on its way, and there is no end to reckon. */
const FOLLOWS_MAX_MS = 5000;

/** Of another Kernel, in one line: whether it follows, how far behind it is, and for how long still. */
export function otherText(
  { isConnected, lastError, behindMs, lacking, refused, outstandingBytes, catchUp }: OtherStatus,
  isHot: boolean,
): string {
  if (!isConnected) {
    const why = lastError ?? 'not connected yet';
    return isHot && lacking > 0 ? `${why}; it lacks ${lacking} values, or fewer` : why;
  }
  const refuses = `${refused.values} values that it refuses`;
  if (!isHot || behindMs === null) return refused.values === 0 ? 'connected' : `connected, lacks ${refuses}`;
  if (behindMs === 0) {
    return refused.values === 0 ? 'connected, has everything' : `connected, has everything but ${refuses}`;
  }
  const { lackedAtMost, arrivedPerS, leftMs } = catchUp;
  const of = lackedAtMost > lacking ? ` of ${lackedAtMost}` : '';
  return [
    `connected, ${formatDuration(behindMs)} behind, lacks ${lacking}${of} values`,
    ...(refused.values === 0 ? [] : [`and ${refuses}`]),
    `${formatSize(outstandingBytes)} on their way`,
    ...(arrivedPerS === null ? [] : [`${Math.round(arrivedPerS)} a second come`]),
    ...(leftMs === null || lacking === 0 || behindMs <= FOLLOWS_MAX_MS
      ? []
      : [`about ${formatDuration(leftMs)} left`]),
  ].join(', ');
}

const waitsText = (to: string): string =>
  `${to} is to have everything first; Ctrl-C cancels the switch as long as nothing has changed`;

/** A second SIGINT ends the command. */
async function cancelSwitch(place: KernelPlace, output: CommandContext['output']): Promise<void> {
  const answer = await callKernel(place, 'kernel-switch-cancel', {}).catch(() => null);
  if ((answer as { readonly isCancelled: boolean } | null)?.isCancelled === true) return;
  output.note('the switch cannot be cancelled any more, and goes on; kom kernel status tells');
}

async function callKernel(place: KernelPlace, method: string, params: Readonly<Record<string, unknown>>) {
  const path = await kernelSocket(place);
  for await (const item of callControl({ transport: createTcpTransport(), path, method, params }))
    return item;
  throw new KomError('KOM_CONNECTION_LOST', 'the Kernel answered nothing');
}
