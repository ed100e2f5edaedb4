import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { DICTIONARY_BYTES_MAX, DICTIONARY_TAGS_MAX } from '../domain/dictionary.ts';
import { SMALL_SEGMENT_BYTES } from '../domain/segment-size.ts';
import { parseSizeBytes } from '../domain/units.ts';
import { dictionaryOf } from './dictionary.ts';
import { fillText } from './expression.ts';
import type { FileContext } from './files.ts';
import { type LineScope, makeLine } from './lines.ts';
import { checkListeners, makeKernels, makeUplink } from './links.ts';
import type { BufferSettings, Line, Process, Server, Site } from './model.ts';
import { POWER_CUT } from './power-cut.ts';
import { type ProblemList, suggestion } from './problems.ts';
import { checkPeerAddresses, makePeers, makeRedundancy } from './redundancy.ts';
import type { ProcessInput, ServerInput, SiteInput } from './schema.ts';
import { milliseconds } from './schema-parts.ts';
import type { Explained } from './tags.ts';
import { attempt, prepareTemplates } from './templates.ts';
import { makeTlsFiles } from './tls.ts';

/** How a site is made from its validated input. */
export interface MakeOptions {
  readonly context: FileContext;
  readonly warnings: ProblemList;
  readonly server: string | undefined;
  readonly secretsOptional: boolean;
  readonly explained: Map<string, readonly Explained[]> | undefined;
}

/** What a dictionary has beside its tags, at most: the names of site and process. */
const DICTIONARY_FRAME_BYTES = 1024;
/** Linux: `sun_path` has 108 bytes with its end mark (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** Makes the site; what is wrong goes to the problems of the context. */
export function makeSite(input: SiteInput, options: MakeOptions): Site {
  const { context } = options;
  if (Object.keys(input.servers).length === 0)
    context.problems.add(['servers'], 'at least one server is needed');
  if (Object.keys(input.processes).length === 0) {
    context.problems.add(['processes'], 'at least one process is needed');
  }
  checkNameTemplate(input, context);
  const kernels = makeKernels(input, options);
  const servers = makeServers(input, options);
  for (const { name, controlSocket } of servers) {
    if (Buffer.byteLength(controlSocket) <= SOCKET_PATH_BYTES_MAX) continue;
    options.warnings.add(['servers', name, 'controlSocket'], 'the path is too long for a Unix socket', {
      expected: `at most ${SOCKET_PATH_BYTES_MAX} bytes`,
      got: controlSocket,
    });
  }
  const templates = prepareTemplates(input.templates, context);
  const processes = Object.entries(input.processes).map(([name, process]) => {
    const serverNames = process.servers ?? Object.keys(input.servers);
    const chosen = options.server ?? serverNames[0];
    const base = {
      input,
      process: name,
      context,
      warnings: options.warnings,
      templates,
      explained: options.explained,
      secretsOptional: options.secretsOptional,
      serial: (chosen === undefined ? undefined : input.servers[chosen]?.serial) ?? {},
      dataDirectory: servers.find((server) => server.name === chosen)?.dataDirectory ?? context.directory,
    };
    return makeProcess(name, process, base);
  });
  checkTagNames(processes, context);
  checkDictionaries(input.site, processes, context.problems);
  checkListeners(processes, servers, context.problems);
  checkPeerAddresses(servers, context.problems);
  checkSerialNames(input, context);
  if (options.server !== undefined && !Object.hasOwn(input.servers, options.server)) {
    context.problems.add(['servers', options.server], 'no such server in the file', {
      hint: suggestion(options.server, Object.keys(input.servers)),
    });
  }
  return {
    ...{ name: input.site, hash: hashOf(input, processes), clock: input.clock },
    commandsAllowed: input.commands.allow,
    ...{ kernels, servers, processes },
  };
}

function makeServers(input: SiteInput, options: MakeOptions): Server[] {
  const { context } = options;
  const instances = new Map<number, string>();
  return Object.entries(input.servers).map(([name, server]) => {
    const at = ['servers', name];
    const other = instances.get(server.instance);
    if (other !== undefined && !context.problems.touches(['servers', other, 'instance'])) {
      context.problems.add([...at, 'instance'], `server ${other} has the same number`, {
        got: String(server.instance),
      });
    }
    instances.set(server.instance, name);
    return makeServer(name, server, { ...options, input });
  });
}

function makeServer(
  name: string,
  server: ServerInput,
  { context, input, warnings }: MakeOptions & { readonly input: SiteInput },
): Server {
  const tlsDirectory = input.tls?.directory;
  const dataDirectory = resolve(context.directory, server.data);
  const controlSocket =
    server.controlSocket === undefined
      ? resolve(dataDirectory, 'kom.sock')
      : resolve(context.directory, server.controlSocket);
  return {
    name,
    instance: server.instance,
    dataDirectory,
    controlSocket,
    peers: makePeers(name, server, { input, problems: context.problems, warnings }),
    tls:
      tlsDirectory === undefined
        ? null
        : makeTlsFiles(context.directory, join(tlsDirectory, name), server.tls),
    ...(server.localAddress === undefined ? {} : { localAddress: server.localAddress }),
    ...(server.flash === undefined ? {} : { flashTbwBytes: bytes(server.flash.tbw) }),
  };
}

/** What making lines needs, before their tags have indexes. */
type ProcessScope = Omit<LineScope, 'firstIndex'>;

function makeProcess(name: string, input: ProcessInput, scope: ProcessScope): Process {
  const path = ['processes', name];
  const { problems } = scope.context;
  const known = Object.keys(scope.input.servers);
  for (const [position, server] of (input.servers ?? []).entries()) {
    if (known.includes(server) || problems.touches(['servers', server])) continue;
    problems.add([...path, 'servers', position], `no server is called ${JSON.stringify(server)}`, {
      hint: suggestion(server, known),
    });
  }
  const lines: Line[] = [];
  let tagCount = 0;
  for (const [lineName, line] of Object.entries(input.lines)) {
    const made = makeLine(lineName, line, { ...scope, firstIndex: tagCount });
    lines.push(made);
    tagCount += made.stations.reduce((count, station) => count + station.tags.length, 0);
  }
  if (tagCount > DICTIONARY_TAGS_MAX) {
    problems.add([...path, 'lines'], 'too many tags in one process', {
      expected: `at most ${DICTIONARY_TAGS_MAX}`,
      got: String(tagCount),
    });
  }
  const stations = new Map<string, string>();
  for (const line of lines) {
    for (const station of line.stations) {
      const other = stations.get(station.name);
      if (other !== undefined) {
        problems.add(
          [...path, 'lines', line.name, 'stations', station.name],
          `line ${other} of this process already has a station of this name`,
        );
      }
      stations.set(station.name, line.name);
    }
  }
  return {
    name,
    servers: input.servers ?? known,
    buffer: makeBuffer(name, input, scope.context),
    uplink: makeUplink(name, input, { input: scope.input, problems, warnings: scope.warnings }),
    redundancy: makeRedundancy(name, input, { input: scope.input, problems, warnings: scope.warnings }),
    lines,
  };
}

/** Measured with glibc and one arena per thread: a segment costs up to nine times its size in memory. */
const MEMORY = {
  standard: { segmentBytesMax: 8_000_000, window: '16MB' },
  small: { segmentBytesMax: SMALL_SEGMENT_BYTES, window: '4MB' },
} as const;

function makeBuffer(process: string, { buffer }: ProcessInput, { problems }: FileContext): BufferSettings {
  const { lossMaxMs, ...ages } = POWER_CUT[buffer.powerCutLossMax];
  const capacityBytes = bytes(buffer.capacity);
  const { segmentBytesMax, window } = MEMORY[buffer.profile];
  const windowBytes = bytes(buffer.window ?? window);
  if (windowBytes > capacityBytes) {
    problems.add(['processes', process, 'buffer', 'window'], 'larger than the capacity', {
      got: buffer.window ?? window,
    });
  }
  if (buffer.maxAgeAcknowledged !== undefined && buffer.store !== 'always') {
    problems.add(
      ['processes', process, 'buffer', 'maxAgeAcknowledged'],
      'nothing that was acknowledged is kept',
      { expected: '"store": "always", or no maxAgeAcknowledged', got: `"store": "${buffer.store}"` },
    );
  }
  return {
    store: buffer.store,
    capacityBytes,
    freeDiskFloorBytes: bytes(buffer.freeDiskFloor),
    alarmShare: buffer.alarmShare,
    whenFull: buffer.whenFull,
    ...(buffer.maxAgeUnacked === undefined ? {} : { maxAgeUnackedMs: milliseconds(buffer.maxAgeUnacked) }),
    ...(buffer.maxAgeAcknowledged === undefined
      ? {}
      : { maxAgeAcknowledgedMs: milliseconds(buffer.maxAgeAcknowledged) }),
    powerCutLossMaxMs: lossMaxMs,
    ...ages,
    windowBytes,
    segmentBytesMax,
  };
}

/** Bytes of a text that the schema has accepted. */
function bytes(text: string): number {
  return parseSizeBytes(text) ?? 0;
}

function checkNameTemplate(input: SiteInput, context: FileContext): void {
  const names = new Map(['site', 'process', 'line', 'station', 'tag'].map((name) => [name, name]));
  attempt(
    () => fillText(input.nameTemplate, names),
    (reason) => context.problems.add(['nameTemplate'], reason),
  );
  if (!input.nameTemplate.includes('{tag}')) {
    context.problems.add(['nameTemplate'], 'without {tag} all tags of a station have one name');
  }
}

function checkTagNames(processes: readonly Process[], context: FileContext): void {
  const places = new Map<string, string[]>();
  const former = new Map<string, string>();
  const isTemplateBroken = context.problems.touches(['nameTemplate']);
  const tags = processes.flatMap((process) =>
    process.lines.flatMap((line) =>
      line.stations.flatMap((station) =>
        station.tags.map((tag) => ({
          tag,
          path: ['processes', process.name, 'lines', line.name, 'stations', station.name],
        })),
      ),
    ),
  );
  for (const { tag, path } of tags) {
    const other = places.get(tag.name);
    if (other === undefined) places.set(tag.name, path);
    else if (!isTemplateBroken) {
      context.problems.add(
        path,
        `a tag is called ${tag.name}, as one of station ${other.at(-1)} already is`,
        {
          hint: 'full names are unique in a site: see nameTemplate',
        },
      );
    }
  }
  for (const { tag, path } of tags) {
    for (const name of tag.formerly) {
      const heir = former.get(name);
      if (places.has(name))
        context.problems.add(path, `${tag.name} was formerly ${name}, which is a tag of today`);
      else if (heir !== undefined)
        context.problems.add(path, `${tag.name} and ${heir} were both formerly ${name}`);
      former.set(name, tag.name);
    }
  }
}

/** A Kernel refuses a dictionary beyond its bounds, and with it every sample of the process. */
function checkDictionaries(
  site: string,
  processes: readonly Pick<Process, 'name' | 'lines'>[],
  problems: ProblemList,
): void {
  for (const process of processes) {
    const { tags } = dictionaryOf({ name: site }, process);
    const bytes = tags.reduce((sum, tag) => sum + Buffer.byteLength(JSON.stringify(tag)) + 1, 0);
    if (bytes < DICTIONARY_BYTES_MAX - DICTIONARY_FRAME_BYTES) continue;
    problems.add(['processes', process.name, 'lines'], 'the names of the tags are too long, all together', {
      expected: `less than ${DICTIONARY_BYTES_MAX} bytes`,
      got: String(bytes),
    });
  }
}

function checkSerialNames(input: SiteInput, context: FileContext): void {
  const serialLines = Object.values(input.processes).flatMap((process) =>
    Object.entries(process.lines)
      .filter(([, line]) => line.driver === 'modbus-rtu')
      .map(([name]) => name),
  );
  for (const [server, { serial }] of Object.entries(input.servers)) {
    for (const line of Object.keys(serial ?? {})) {
      if (serialLines.includes(line)) continue;
      context.problems.add(['servers', server, 'serial', line], 'no serial line is called that', {
        hint: suggestion(line, serialLines),
      });
    }
  }
}

/** What may differ between the comm servers of a site, or is secret, or is only for people. */
const NOT_HASHED: ReadonlySet<string> = new Set(['pkiDirectory', 'device', 'origin', 'password']);

function hashOf(input: SiteInput, processes: readonly Process[]): string {
  const { site, clock, kernels, servers, peer, commands } = input;
  const local = Object.values(input.processes).map((process) =>
    Object.values(process.lines).map((line) => {
      if (line.driver === 'modbus-rtu') return line.device;
      return line.driver === 'opcua' ? [line.pki, line.user] : null;
    }),
  );
  const expanded = JSON.stringify(processes, (key, value) => (NOT_HASHED.has(key) ? undefined : value));
  return createHash('sha256')
    .update(JSON.stringify({ site, clock, kernels, servers, peer, local, commands }))
    .update(expanded)
    .digest('hex')
    .slice(0, 32);
}
