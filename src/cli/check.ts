import { Command } from 'commander';
import {
  ConfigProblems,
  formatProblem,
  type LoadedSite,
  loadKernelConfig,
  loadSite,
} from '../config/load.ts';
import { formatDuration, formatSize } from '../domain/units.ts';
import { planRequests } from '../drivers/modbus/plan.ts';
import {
  ASSUMPTIONS,
  BUS_LOAD_WARNING,
  flashYears,
  forecastSite,
  type LineForecast,
  type ProcessForecast,
  type Rate,
  type RequestForecast,
  type StoreForecast,
} from '../ops/forecast.ts';
import { formatAddress } from '../world/transport.ts';
import { archiveLines, archiveWarnings, kernelsLines } from './archive-report.ts';
import { ExitCode } from './exit-codes.ts';
import { siteLinkLines, uplinkSettingLines } from './link-report.ts';
import type { Output } from './output.ts';
import type { CommandContext } from './program.ts';
import { peerLines, redundancyLines } from './redundancy-report.ts';
import { type Column, formatTable } from './table.ts';

interface CheckOptions {
  readonly server?: string;
  readonly expand?: boolean;
  readonly json?: boolean;
  readonly kernel?: boolean;
}

/** `kom check`: what a site file says and what the site will do. Needs no network. */
export function checkCommand({ output, exit }: CommandContext): Command {
  return new Command('check')
    .description('Check a site file and print what the site will do. Needs no network.')
    .argument('<file>', 'site file')
    .option('--kernel', 'it is a Kernel file')
    .option('--server <name>', 'only what this comm server runs, with its serial devices and directories')
    .option('--expand', 'print every tag with each of its values and where that was given')
    .option('--json', 'print JSON')
    .action(async (file: string, options: CheckOptions) => {
      try {
        if (options.kernel === true) {
          printKernel(await loadKernelConfig(file, { secretsOptional: true }), options, output);
          return;
        }
        const loaded = await loadSite(file, {
          ...(options.server === undefined ? {} : { server: options.server }),
          explain: options.expand === true,
          secretsOptional: true,
        });
        printSite(loaded, options, output);
      } catch (error) {
        if (!(error instanceof ConfigProblems)) throw error;
        if (options.json === true) output.line(JSON.stringify({ ok: false, problems: error.problems }));
        else {
          output.note(error.message);
          const hint = otherKindOfFile(error, options.kernel === true);
          if (hint !== null) output.note(hint);
        }
        exit(ExitCode.usage);
      }
    });
}

/** Keys that only the other kind of file has at its top tell that it is one; `null`: nothing does. */
function otherKindOfFile({ problems }: ConfigProblems, asKernel: boolean): string | null {
  const theirs = asKernel ? ['$.site', '$.processes', '$.servers', '$.kernels'] : ['$.archive', '$.listen'];
  const isTheirs = problems.some(({ path, message }) => message === 'unknown key' && theirs.includes(path));
  if (!isTheirs) return null;
  return asKernel
    ? 'this looks like a site file: kom check without --kernel'
    : 'this looks like a Kernel file: kom check --kernel';
}

function printKernel(
  { config, problems }: Awaited<ReturnType<typeof loadKernelConfig>>,
  options: CheckOptions,
  output: Output,
): void {
  const warnings = [...problems.map(formatProblem), ...archiveWarnings(config.archive)];
  if (options.json === true) {
    output.line(JSON.stringify({ ok: true, warnings, kernel: config }, hideSecrets));
    return;
  }
  const { listen, archive, controlSocket } = config;
  output.line(`kernel on ${formatAddress(listen)}${security(config.insecure, config.tls !== null)}`);
  if (config.tls !== null) output.line(`certificate ${config.tls.certificate}, key ${config.tls.key}`);
  for (const line of archiveLines(archive)) output.line(line);
  for (const line of kernelsLines(config)) output.line(line);
  output.line(`control socket ${controlSocket}`);
  for (const { site, process, addresses } of config.agents) {
    output.line(`dials ${site}/${process} at ${addresses.map(formatAddress).join(', then ')}`);
  }
  for (const warning of warnings) output.note(`warning: ${warning}`);
}

function printSite(loaded: LoadedSite, options: CheckOptions, output: Output): void {
  const forecasts = forecastSite(loaded.site, planRequests, options.server);
  const warnings = [...loaded.problems.map(formatProblem), ...forecasts.flatMap(loadWarnings)];
  if (options.json === true) {
    const expanded =
      options.expand === true ? { site: loaded.site, origins: Object.fromEntries(loaded.explained) } : {};
    const report = { ok: true, warnings, processes: forecasts, assumptions: ASSUMPTIONS, ...expanded };
    output.line(JSON.stringify(report, hideSecrets));
    return;
  }
  if (options.expand === true) printExpanded(loaded, forecasts, output);
  else for (const line of describeSite(loaded, forecasts, options.server)) output.line(line);
  for (const warning of warnings) output.note(`warning: ${warning}`);
}

function hideSecrets(key: string, value: unknown): unknown {
  if (key === 'password') return '(hidden)';
  // JSON has no infinity; a line without samples fills no ring.
  return value === Number.POSITIVE_INFINITY ? null : value;
}

function loadWarnings(process: ProcessForecast): string[] {
  const lines = process.lines
    .filter(({ busLoad }) => busLoad !== null && busLoad > BUS_LOAD_WARNING)
    .map(
      ({ name, busLoad }) =>
        `line ${name} of ${process.name} is loaded ${percent(busLoad)}: scan periods will not be kept, ` +
        'so scan more slowly or use another line',
    );
  const { boundMs, configuredMs } = process.powerCut;
  if (boundMs > configuredMs) {
    lines.push(`a power cut of ${process.name} may lose ${boundMs} ms, more than ${configuredMs} ms`);
  }
  return lines;
}

const TAG_COLUMNS: readonly Column[] = ['tag', 'key', 'value', 'origin'].map((title) => ({ title }));

const REQUEST_COLUMNS: readonly Column[] = [
  { title: 'request' },
  { title: 'first', align: 'right' },
  { title: 'last', align: 'right' },
  { title: 'tags', align: 'right' },
  { title: 'every', align: 'right' },
  { title: 'bus time', align: 'right' },
];

function printExpanded(loaded: LoadedSite, forecasts: readonly ProcessForecast[], output: Output): void {
  const lines = new Map(loaded.site.processes.map((process) => [process.name, process.lines]));
  for (const process of forecasts) {
    for (const line of process.lines) {
      const made = lines.get(process.name)?.find(({ name }) => name === line.name);
      for (const station of line.stations) {
        output.line(`process ${process.name}, line ${line.name}, station ${station.name}`);
        const requests = station.requests.map(({ table, address, count, tagCount, scanMs, busTimeMs }) => [
          table,
          String(address),
          String(address + count - 1),
          String(tagCount),
          formatDuration(scanMs),
          `${oneDigit(busTimeMs)} ms`,
        ]);
        if (requests.length > 0) printTable(REQUEST_COLUMNS, requests, output);
        const tags = made?.stations.find(({ name }) => name === station.name)?.tags ?? [];
        const rows = tags.flatMap((tag) =>
          (loaded.explained.get(tag.name) ?? []).map(({ key, value, origin }, position) => [
            position === 0 ? tag.name : '',
            key,
            value,
            origin,
          ]),
        );
        printTable(TAG_COLUMNS, rows, output);
      }
    }
  }
}

function printTable(columns: readonly Column[], rows: readonly (readonly string[])[], output: Output): void {
  for (const text of formatTable(columns, rows)) output.line(`  ${text}`.trimEnd());
  output.line('');
}

function describeSite(
  { site }: LoadedSite,
  forecasts: readonly ProcessForecast[],
  server: string | undefined,
): string[] {
  const servers = site.servers.filter(({ name }) => server === undefined || name === server);
  const lines = [`site ${site.name}, hash ${site.hash}`];
  for (const server of servers) {
    const { name, instance, dataDirectory, tls } = server;
    lines.push(`server ${name}: instance ${instance}, data in ${dataDirectory}`);
    if (tls !== null) lines.push(`  certificate ${tls.certificate}, key ${tls.key}`);
    lines.push(...peerLines(server));
  }
  lines.push(...siteLinkLines(site, servers));
  for (const forecast of forecasts) {
    lines.push('', ...describeProcess(forecast));
    const process = site.processes.find((each) => each.name === forecast.name);
    if (process !== undefined) lines.push(...redundancyLines(process, site), ...uplinkSettingLines(process));
    for (const { name, flashTbwBytes } of servers) {
      if (flashTbwBytes === undefined) continue;
      const { online, outage } = forecast.store.flashBytesPerDay;
      const years = (bytes: number): string => `${flashYears(flashTbwBytes, bytes).toFixed(1)} years`;
      lines.push(
        `  flash life   ${years(online.typical)} online, ${years(outage.most)} if always in outage ` +
          `(${formatSize(flashTbwBytes)} on ${name}, this process alone)`,
      );
    }
  }
  return [...lines, '', ...describeAssumptions()];
}

function describeProcess(process: ProcessForecast): string[] {
  const { store, powerCut } = process;
  const { typical, most } = process.samplesPerSecond;
  const { online, outage } = store.flashBytesPerDay;
  const spill = powerCut.spillAgeMs > 0 ? ` + spill age ${powerCut.spillAgeMs} ms` : '';
  return [
    `process ${process.name}: ${process.tagCount} tags`,
    ...process.lines.flatMap((line) => ['', ...describeLine(line)]),
    '',
    `  samples/s    typically ${oneDigit(typical)}, at most ${oneDigit(most)}`,
    `  outage held  ${span(store.outageHeldMs, formatDuration)}`,
    `  ring full    ${describeFullRing(store)}`,
    `  flash a day  online ${span(online, formatSize)}; in an outage ${span(outage, formatSize)}`,
    `  power cut    loses at most ${powerCut.boundMs} ms = block age ${powerCut.blockAgeMs} ms${spill} ` +
      `+ 2 × fsync ${powerCut.syncMs} ms (configured ${powerCut.configuredMs} ms)`,
    '',
    ...formatTable(POLICY_COLUMNS, process.policies.map(describePolicy)).map((text) => `    ${text}`),
  ];
}

const POLICY_COLUMNS: readonly Column[] = [
  { title: 'store' },
  { title: 'powerCutLossMax' },
  { title: 'loses at most', align: 'right' },
  { title: 'flash a day online', align: 'right' },
  { title: 'in an outage', align: 'right' },
  { title: 'chosen' },
];

function describePolicy(policy: ProcessForecast['policies'][number]): string[] {
  const { store, powerCutLossMax, boundMs, flashBytesPerDay, isChosen } = policy;
  const { online, outage } = flashBytesPerDay;
  const sizes = [formatSize(online.typical), formatSize(outage.typical)];
  return [store, powerCutLossMax, `${boundMs} ms`, ...sizes, isChosen ? 'yes' : ''];
}

function describeFullRing({ whenFull, evictionBytes, evictionMs }: StoreForecast): string {
  if (whenFull === 'refuse-newest') return 'refuse-newest keeps what it has and loses what is new';
  const lost = span(evictionMs, formatDuration);
  return `drop-oldest loses a segment (${formatSize(evictionBytes)}) at a time: ${lost}`;
}

const STATION_COLUMNS: readonly Column[] = [
  { title: 'station' },
  { title: 'unit', align: 'right' },
  { title: 'mode' },
  { title: 'tags', align: 'right' },
  { title: 'samples/s', align: 'right' },
  { title: 'load', align: 'right' },
  { title: 'requests and their bus time, by scan period' },
];

function describeLine(line: LineForecast): string[] {
  const load = line.busLoad === null ? '' : `, load ${percent(line.busLoad)}`;
  const rows = line.stations.map((station) => [
    station.name,
    station.unit === undefined ? '' : String(station.unit),
    station.mode,
    String(station.tagCount),
    `≤ ${oneDigit(station.samplesPerSecond.most)}`,
    line.busLoad === null ? '' : percent(station.busLoad),
    line.busLoad === null ? 'subscription' : describeRequests(station.requests),
  ]);
  return [
    `  line ${line.name}: ${line.channel}, ${line.tagCount} tags${load}`,
    ...formatTable(STATION_COLUMNS, rows).map((text) => `    ${text}`),
  ];
}

/** `200 ms: 1 in 5.0 ms, 1.0 s: 3 in 15.0 ms` */
function describeRequests(requests: readonly RequestForecast[]): string {
  const periods = Map.groupBy(requests, ({ scanMs }) => scanMs);
  return [...periods]
    .sort(([a], [b]) => a - b)
    .map(([scanMs, group]) => {
      const busTimeMs = group.reduce((sum, request) => sum + request.busTimeMs, 0);
      return `${formatDuration(scanMs)}: ${group.length} in ${oneDigit(busTimeMs)} ms`;
    })
    .join(', ');
}

function describeAssumptions(): string[] {
  const a = ASSUMPTIONS;
  return [
    'assumed:',
    `  a Modbus TCP request takes ${a.tcpRoundTripMs} ms; ` +
      `a serial device starts to answer after ${a.serialTurnaroundMs} ms`,
    `  typically ${percent(a.changedShareOfNumbers)} of the polls find a number changed, ` +
      `${percent(a.changedShareOfStates)} a bit or text; at most: all of them`,
    `  a block takes ${a.blockOverheadBytes} B and ${a.sampleBytes} B a sample; ` +
      `flash takes ${a.writeAmplification} times that and ${formatSize(a.syncBytes)} an fsync`,
    `  where small blocks are joined when a segment is full, ${a.joinedSampleBytes} B a sample`,
    `  an fsync takes up to ${a.syncMs} ms`,
  ];
}

function span(rate: Rate, format: (value: number) => string): string {
  const typical = format(rate.typical);
  const most = format(rate.most);
  return typical === most ? typical : `typically ${typical}, under full load ${most}`;
}

function percent(share: number | null): string {
  return `${((share ?? 0) * 100).toFixed(share !== null && share < 0.1 ? 1 : 0)} %`;
}

function oneDigit(value: number): string {
  return value.toFixed(1);
}

/** What a line of the report says of a link; nothing of one on this machine that needs nothing. */
function security(isInsecure: boolean, hasTls: boolean): string {
  if (isInsecure) return ' (without TLS)';
  return hasTls ? ', TLS 1.3' : '';
}
