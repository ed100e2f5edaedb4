import type { Process, Server, Site } from '../config/model.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';
import type { PathStatus } from '../uplink/lane-maker.ts';
import type { UplinkStatus } from '../uplink/uplink.ts';
import { formatAddress } from '../world/transport.ts';

/** The links of a site, for `kom check`: where connections go, and where they are waited for. */
export function* siteLinkLines(site: Site, servers: readonly Server[]): Generator<string> {
  for (const kernel of site.kernels) {
    const from = servers.flatMap(({ name, localAddress }) => {
      const local = kernel.localAddresses[name] ?? localAddress;
      return local === undefined ? [] : [`${name} from ${local}`];
    });
    const open = kernel.insecure ? ' (without TLS)' : '';
    yield `kernel ${formatAddress(kernel)}${open}${from.length === 0 ? '' : `, ${from.join(', ')}`}`;
  }
  for (const process of site.processes) yield* listenLines(process, servers);
}

function* listenLines(
  { name, servers: own, uplink }: Process,
  servers: readonly Server[],
): Generator<string> {
  const { listen } = uplink;
  if (listen === undefined) return;
  const from = listen.allowFrom.length === 0 ? 'anywhere' : listen.allowFrom.join(', ');
  for (const server of servers.filter((each) => own.includes(each.name))) {
    const address = formatAddress(listen.serverAddresses[server.name] ?? listen.address);
    const open = listen.insecure ? ' (without TLS)' : '';
    yield `process ${name} on ${server.name} waits on ${address}${open} for a Kernel from ${from}; ` +
      'it dials none';
  }
}

/** How a process talks to its Kernel, for `kom check`. */
export function* uplinkSettingLines({ uplink }: Process): Generator<string> {
  const { heartbeatMs, silenceMaxMs, minBytesPerS, maxBytesPerS } = uplink;
  // Silence is looked at twelve times within its limit.
  const noticed = formatDuration((silenceMaxMs * 13) / 12);
  yield `  uplink       heartbeat ${formatDuration(heartbeatMs)}, a dead link is noticed within ${noticed}`;
  const floor = minBytesPerS > 0 ? [`at least ${formatSize(minBytesPerS)}/s`] : [];
  const ceiling = Number.isFinite(maxBytesPerS) ? [`at most ${formatSize(maxBytesPerS)}/s`] : [];
  const bounds = [...floor, ...ceiling];
  if (bounds.length > 0) yield `  catch-up     ${bounds.join(', ')}`;
}

/** The uplink of a running instance, for `kom status`. */
export function* uplinkLines(uplink: UplinkStatus): Generator<string> {
  const since = formatTimeUs(uplink.sinceUs);
  const why = uplink.lastError === null ? '' : `: ${uplink.lastError}`;
  yield uplink.kernel === null
    ? `  uplink       no Kernel since ${since}${why}`
    : `  uplink       ${uplink.kernel} since ${since}${rateOf(uplink)}`;
  if (uplink.heldForMs > 0) {
    yield `               the link flaps (${uplink.shortSessions} short sessions): stays in outage for ` +
      `${formatDuration(uplink.heldForMs)} more`;
  }
  if (uplink.isBelowMinRate) yield '               the catch-up is below minRate: live values give way';
  if (uplink.paths.length < 2 && uplink.paths.every(({ state }) => state !== 'listens')) return;
  for (const path of uplink.paths) {
    const from = path.localAddress === null ? '' : ` from ${path.localAddress}`;
    yield `    path       ${path.address}${from}: ${pathState(path)}`;
  }
}

function pathState({ state, heardSinceUs, lastError, failedUs }: PathStatus): string {
  const as = state === 'answers' ? ' as the hot one' : '';
  const heard = heardSinceUs === null ? '' : `, heard${as} since ${formatTimeUs(heardSinceUs)}`;
  // It may have been long ago.
  const at = failedUs === null ? '' : `, last at ${formatTimeUs(failedUs)}`;
  return `${state}${heard}${at}${lastError === null ? '' : `: ${lastError}`}`;
}

function rateOf({ bytesPerS }: UplinkStatus): string {
  return bytesPerS === null ? '' : `, carries ${formatSize(bytesPerS)}/s`;
}
