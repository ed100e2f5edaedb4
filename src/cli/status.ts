import { Command } from 'commander';
import type { AgentStatus, FlashStatus } from '../agent/agent.ts';
import type { ClassStoreStatus } from '../agent/class-store.ts';
import type { InstanceStatus } from '../agent/instance.ts';
import { loadSite } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';
import { callControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { storeLines } from './buffer-report.ts';
import { clockLines } from './clock-report.ts';
import { ExitCode } from './exit-codes.ts';
import { uplinkLines } from './link-report.ts';
import { memberLines } from './member-report.ts';
import type { Output } from './output.ts';
import type { CommandContext } from './program.ts';
import { chooseServer } from './run.ts';

interface StatusOptions {
  readonly config?: string;
  readonly server?: string;
  readonly socket?: string;
  readonly health?: true;
  readonly alarms?: true;
  readonly json?: true;
}

/** `kom status`: what a running agent does, over its control socket. */
export function statusCommand({ output, exit }: CommandContext): Command {
  return new Command('status')
    .description('Shows what a running agent does, or with --health only whether it is well.')
    .option('--config <site.json>', 'find the control socket through the site file')
    .option('--server <name>', 'the comm server of the site file')
    .option('--socket <path>', 'the control socket itself')
    .option('--health', 'exit code 0 if the agent answers and its ring takes writes, else 1')
    .option('--alarms', 'only the alarms; exit code 1 if one stands, 0 if none does')
    .option('--json', 'print JSON')
    .action(async (options: StatusOptions) => {
      const path = await socketPath(options);
      try {
        const status = await readStatus(path);
        const isHealthy = status.instances
          .flatMap(storesOf)
          .every(({ backlog }) => backlog.ring.state === 'healthy');
        if (options.json === true) output.line(JSON.stringify(status));
        else if (options.health === true)
          output.line(isHealthy ? 'healthy' : 'degraded: a ring takes no writes');
        else if (options.alarms === true) for (const line of alarmLines(status)) output.line(line);
        else print(status, output);
        if (options.alarms === true && status.alarms.length > 0) exit(ExitCode.failed);
        if (options.health === true && !isHealthy) exit(ExitCode.failed);
      } catch (error) {
        if (options.health !== true) throw error;
        output.line(`unhealthy: ${error instanceof Error ? error.message : String(error)}`);
        exit(ExitCode.failed);
      }
    });
}

async function socketPath(options: StatusOptions): Promise<string> {
  if (options.socket !== undefined) return options.socket;
  if (options.config === undefined) {
    throw new KomError('KOM_USAGE', 'status needs to know which agent', { expected: '--config or --socket' });
  }
  const { site } = await loadSite(options.config, { secretsOptional: true });
  return chooseServer(site, options.server).controlSocket;
}

/** Status of the agent that listens on a control socket. @throws KomError KOM_NOT_RUNNING */
async function readStatus(path: string): Promise<AgentStatus> {
  for await (const item of callControl({ transport: createTcpTransport(), path, method: 'status' })) {
    return item as AgentStatus;
  }
  throw new KomError('KOM_CONNECTION_LOST', 'the agent answered nothing');
}

function print(status: AgentStatus, output: Output): void {
  output.line(`site ${status.site}, server ${status.server}, kom ${status.version}`);
  for (const line of flashLines(status.flash)) output.line(line);
  for (const line of certificateLines(status.certificate)) output.line(line);
  for (const line of alarmLines(status)) output.line(line);
  for (const instance of status.instances) printInstance(instance, { output, nowUs: Date.now() * 1000 });
}

/** Every store of an instance. */
function storesOf(instance: InstanceStatus): ClassStoreStatus[] {
  return instance.alarms === null ? [instance] : [instance, instance.alarms];
}

function* alarmLines({ alarms, pastAlarms }: AgentStatus): Generator<string> {
  if (alarms.length === 0) yield 'no alarm';
  for (const { code, text, raisedAtUs } of alarms)
    yield `ALARM ${code} since ${formatTimeUs(raisedAtUs)}: ${text}`;
  const last = pastAlarms.at(-1);
  if (last?.clearedAtUs === undefined || last.clearedAtUs === null) return;
  const { code, text, raisedAtUs, clearedAtUs } = last;
  const span = `${formatTimeUs(raisedAtUs)} to ${formatTimeUs(clearedAtUs)}`;
  yield `last alarm that is over: ${code}, ${span}: ${text}`;
}

function* certificateLines(certificate: AgentStatus['certificate']): Generator<string> {
  if (certificate === null) return;
  const { subject, validToUs, daysLeft, error, warnings } = certificate;
  yield validToUs === null
    ? 'certificate: none'
    : `certificate: ${subject}, valid to ${formatTimeUs(validToUs)}, ${daysLeft} days`;
  for (const text of error === null ? warnings : [error, ...warnings]) yield `  ${text}`;
}

function* flashLines({
  writtenBytes,
  bytesPerDay,
  writeAmplification,
  runMs,
}: FlashStatus): Generator<string> {
  if (writtenBytes === null) return;
  const perDay = bytesPerDay === null ? '' : `, ${formatSize(bytesPerDay)} a day`;
  const factor =
    writeAmplification === null ? '' : `, ${writeAmplification.toFixed(1)} × what the rings stored`;
  yield `flash: ${formatSize(writtenBytes)} written in ${formatDuration(runMs)}${perDay}${factor}`;
}

function printInstance(
  instance: InstanceStatus,
  { output, nowUs }: { readonly output: Output; readonly nowUs: number },
): void {
  const { uplink, backlog } = instance;
  output.line('');
  output.line(`${instance.process} instance ${instance.instance}: ${backlog.state}`);
  for (const line of memberLines(instance.member)) output.line(line);
  for (const line of uplinkLines(uplink)) output.line(line);
  for (const line of clockLines(instance.clock)) output.line(line);
  for (const line of storeLines(instance, nowUs)) output.line(line);
  if (instance.alarms !== null) {
    output.line('  alarms, in a store of their own:');
    for (const line of storeLines(instance.alarms, nowUs)) output.line(`  ${line}`);
  }
  const fitness = new Map(instance.fitness.map((each) => [each.line, each]));
  for (const line of instance.lines) {
    output.line(`  line         ${line.name}: ${lineText(line)}${fitnessText(fitness.get(line.name))}`);
  }
}

function lineText({ isConnected, lastError, doing }: InstanceStatus['lines'][number]): string {
  if (doing === 'closed') return 'closed here';
  if (!isConnected) return lastError ?? 'connecting';
  return doing === 'standby' ? 'connected, waiting' : 'connected';
}

/** Where another server runs the process too: whether this one could take the line over. */
function fitnessText(fitness: InstanceStatus['fitness'][number] | undefined): string {
  if (fitness === undefined || (!fitness.isTested && fitness.provenAgeMs === null)) return '';
  const { provenAgeMs, error } = fitness;
  if (error !== null) return `; could not be opened: ${error}`;
  return provenAgeMs === null ? '; not tested yet' : `; could be opened ${formatDuration(provenAgeMs)} ago`;
}
