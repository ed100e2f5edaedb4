import { Command } from 'commander';
import type { AgentStatus } from '../agent/agent.ts';
import type { InstanceStatus } from '../agent/instance.ts';
import { loadSite } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';
import { callControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { CommandContext } from './program.ts';
import { chooseServer } from './run.ts';

interface StatusOptions {
  readonly config?: string;
  readonly server?: string;
  readonly socket?: string;
  readonly health?: true;
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
    .option('--json', 'print JSON')
    .action(async (options: StatusOptions) => {
      const path = await socketPath(options);
      try {
        const status = await readStatus(path);
        const isHealthy = status.instances.every(({ backlog }) => backlog.ring.state === 'healthy');
        if (options.json === true) output.line(JSON.stringify(status));
        else if (options.health === true)
          output.line(isHealthy ? 'healthy' : 'degraded: a ring takes no writes');
        else print(status, output);
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
  for (const instance of status.instances) printInstance(instance, output);
}

function printInstance(instance: InstanceStatus, output: Output): void {
  const { uplink, backlog } = instance;
  const { ring } = backlog;
  output.line('');
  output.line(`${instance.process} instance ${instance.instance}: ${backlog.state}`);
  const since = formatTimeUs(uplink.sinceUs);
  output.line(
    uplink.kernel === null
      ? `  uplink   no Kernel since ${since}${uplink.lastError === null ? '' : `: ${uplink.lastError}`}`
      : `  uplink   ${uplink.kernel} since ${since}`,
  );
  output.line(
    `  backlog  ${backlog.samples} samples not acknowledged, ${backlog.windowSamples} of them in memory` +
      (ring.oldestUnacknowledgedUs === null ? '' : `, oldest ${formatTimeUs(ring.oldestUnacknowledgedUs)}`),
  );
  output.line(
    `  ring     ${formatSize(ring.diskBytes)} of ${formatSize(ring.capacityBytes)} in ${ring.segments}` +
      ` segments, ${ring.state}${ring.lastError === null ? '' : ` (${ring.lastError})`},` +
      ` slowest sync ${formatDuration(ring.slowestSyncMs)}`,
  );
  for (const [reason, count] of Object.entries(ring.lostByReason)) {
    output.line(`  lost     ${count} samples: ${reason}`);
  }
  for (const line of instance.lines) {
    output.line(
      `  line     ${line.name}: ${line.isConnected ? 'connected' : (line.lastError ?? 'connecting')}`,
    );
  }
}
