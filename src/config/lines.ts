import { resolve } from 'node:path';
import type { ParameterValues } from './expression.ts';
import { type FileContext, readSecret } from './files.ts';
import { listStations, listTags, type Named, type StationInput } from './lists.ts';
import type {
  Line,
  LineFailover,
  ModbusChannel,
  ModbusLine,
  ModbusTag,
  OpcuaLine,
  OpcuaTag,
} from './model.ts';
import { type JsonPath, type ProblemList, suggestion } from './problems.ts';
import { makeFailover } from './redundancy.ts';
import type { SiteInput } from './schema.ts';
import type { LineInput, ModbusLineInput, OpcuaLineInput } from './schema-line.ts';
import { milliseconds, parseAddress } from './schema-parts.ts';
import { type TagInput, tagDefaultsShape } from './schema-tag.ts';
import { type Explained, type Layer, makeModbusTag, makeOpcuaTag, TagReader, type TagScope } from './tags.ts';
import { parametersOf, type Template, templateOf } from './templates.ts';

/** What making lines needs to know of the rest of the site. */
export interface LineScope {
  readonly input: SiteInput;
  readonly process: string;
  /** Index of the first tag of the line. */
  readonly firstIndex: number;
  readonly context: FileContext;
  readonly warnings: ProblemList;
  readonly templates: ReadonlyMap<string, Template>;
  /** Where values of tags came from, by full name; not collected if not given. */
  readonly explained: Map<string, readonly Explained[]> | undefined;
  /** A missing secret is a warning: the file is only being checked. */
  readonly secretsOptional: boolean;
  /** Serial device and data directory of the server that the lines are made for. */
  readonly serial: Readonly<Record<string, string>>;
  readonly dataDirectory: string;
}

/** Makes a line. */
export function makeLine(name: string, input: LineInput, scope: LineScope): Line {
  const { firstIndex } = scope;
  const path = ['processes', scope.process, 'lines', name];
  const base = {
    name,
    reconnectDelayMinMs: milliseconds(input.reconnectDelayMin),
    reconnectDelayMaxMs: milliseconds(input.reconnectDelayMax),
    failover: makeFailover(input, path, scope.context.problems),
  };
  if (base.reconnectDelayMaxMs < base.reconnectDelayMinMs) {
    scope.context.problems.add([...path, 'reconnectDelayMax'], 'shorter than reconnectDelayMin');
  }
  return input.driver === 'opcua'
    ? makeOpcuaLine(base, input, { path, firstIndex, scope })
    : makeModbusLine(base, input, { path, firstIndex, scope });
}

interface LineBase {
  readonly name: string;
  readonly reconnectDelayMinMs: number;
  readonly reconnectDelayMaxMs: number;
  readonly failover: LineFailover;
}

interface LinePlace {
  readonly path: JsonPath;
  readonly firstIndex: number;
  readonly scope: LineScope;
}

function makeModbusLine(base: LineBase, input: ModbusLineInput, place: LinePlace): ModbusLine {
  const { path, scope } = place;
  let index = place.firstIndex;
  const stations = listStations(
    input.stations,
    { path: [...path, 'stations'], driver: 'modbus' },
    scope.context,
  ).map((station) => {
    const { value } = station;
    const unit = value.unit ?? 1;
    const tags: ModbusTag[] = [];
    const seen = new Map<string, string>();
    for (const { reader, path: at } of readersOf(station, { line: base.name, input, unit, index, scope })) {
      index += 1;
      const tag = makeModbusTag(reader);
      if (tag === undefined) continue;
      const { address, scanMs } = tag;
      const { description, formerly } = tag;
      const resolved = { address, scan: `${scanMs}ms`, type: tag.rawType, description, formerly };
      explain(tag, reader.explain('modbus', resolved), scope);
      warnOfDoubles(tag, { seen, path: at }, scope);
      tags.push(tag);
    }
    return {
      name: station.name,
      mode: value.mode ?? 'on',
      unit,
      maxRegistersPerRequest: value.maxRegistersPerRequest ?? input.maxRegistersPerRequest ?? 125,
      maxBitsPerRequest: value.maxBitsPerRequest ?? input.maxBitsPerRequest ?? 2000,
      maxGap: value.maxGap ?? input.maxGap ?? 0,
      tags,
    };
  });
  if (input.driver === 'modbus-rtu') warnOfUnits(stations, path, scope);
  return {
    ...base,
    driver: 'modbus',
    channel: channelOf(base.name, input, scope),
    responseTimeoutMs: milliseconds(input.responseTimeout),
    retries: input.retries,
    requestGapMs: milliseconds(input.requestGap),
    degradeAfterCycles: input.degradeAfterCycles,
    probeIntervalMs: milliseconds(input.probeInterval),
    stations,
  };
}

function channelOf(name: string, input: ModbusLineInput, scope: LineScope): ModbusChannel {
  if (input.driver === 'modbus-rtu') {
    return {
      kind: 'rtu',
      device: (Object.hasOwn(scope.serial, name) ? scope.serial[name] : undefined) ?? input.device,
      baudRate: input.baudRate,
      parity: input.parity,
      dataBits: input.dataBits,
      // Modbus over serial line V1.02, 2.5.1: a character has 11 bits, with or without parity.
      stopBits: input.stopBits ?? (input.parity === 'none' ? 2 : 1),
    };
  }
  const address = parseAddress(input.address, 502) ?? { host: input.address, port: 502 };
  return { kind: input.driver === 'modbus-tcp' ? 'tcp' : 'rtu-over-tcp', address };
}

function makeOpcuaLine(base: LineBase, input: OpcuaLineInput, place: LinePlace): OpcuaLine {
  const { path, scope } = place;
  let index = place.firstIndex;
  const stations = listStations(
    input.stations,
    { path: [...path, 'stations'], driver: 'opcua' },
    scope.context,
  ).map((station) => {
    const tags: OpcuaTag[] = [];
    for (const { reader } of readersOf(station, { line: base.name, input, index, scope })) {
      index += 1;
      const tag = makeOpcuaTag(reader);
      if (tag === undefined) continue;
      const { nodeId, description, formerly } = tag;
      const resolved = { nodeId, sampling: `${tag.samplingIntervalMs}ms`, description, formerly };
      explain(tag, reader.explain('opcua', resolved), scope);
      tags.push(tag);
    }
    return { name: station.name, mode: station.value.mode ?? ('on' as const), tags };
  });
  const isPlain = input.securityPolicy === 'None';
  const securityMode = input.securityMode ?? (isPlain ? 'None' : 'SignAndEncrypt');
  if (isPlain !== (securityMode === 'None')) {
    scope.context.problems.add(
      [...path, 'securityMode'],
      `does not fit security policy ${input.securityPolicy}`,
      {
        expected: isPlain ? '"None"' : '"Sign" or "SignAndEncrypt"',
        got: JSON.stringify(securityMode),
      },
    );
  }
  if (input.lifetimeCount < 3 * input.keepAliveCount) {
    scope.context.problems.add([...path, 'lifetimeCount'], 'too small for keepAliveCount', {
      expected: `at least 3 × keepAliveCount = ${3 * input.keepAliveCount} (OPC 10000-4, 5.14.2)`,
      got: String(input.lifetimeCount),
    });
  }
  const user = userOf(input, path, scope);
  return {
    ...base,
    driver: 'opcua',
    endpointUrl: input.endpoint,
    securityPolicy: input.securityPolicy,
    securityMode,
    ...(user === undefined ? {} : { user }),
    pkiDirectory:
      input.pki === undefined
        ? resolve(scope.dataDirectory, 'pki')
        : resolve(scope.context.directory, input.pki),
    trustOnFirstUse: input.trustOnFirstUse,
    publishingIntervalMs: milliseconds(input.publishingInterval),
    keepAliveCount: input.keepAliveCount,
    lifetimeCount: input.lifetimeCount,
    sessionTimeoutMs: milliseconds(input.sessionTimeout),
    connectTimeoutMs: milliseconds(input.connectTimeout),
    stations,
  };
}

function userOf(input: OpcuaLineInput, path: JsonPath, scope: LineScope): OpcuaLine['user'] | undefined {
  if (input.user === undefined) return undefined;
  const { name } = input.user;
  if (input.securityMode !== 'SignAndEncrypt' && input.securityPolicy === 'None') {
    scope.warnings.add(
      [...path, 'user'],
      'without a security policy the connection is neither signed nor encrypted',
    );
  }
  const secret = readSecret(input.user.password, scope.context);
  if ('value' in secret) return { name, password: secret.value };
  const list = scope.secretsOptional ? scope.warnings : scope.context.problems;
  list.add([...path, 'user', 'password'], secret.missing);
  return { name, password: '' };
}

interface StationPlace {
  readonly line: string;
  readonly input: LineInput;
  readonly unit?: number;
  readonly index: number;
  readonly scope: LineScope;
}

interface TagAt {
  readonly reader: TagReader;
  readonly path: JsonPath;
}

/** A reader for each tag of a station, in the order of template, then own tags. */
function readersOf(station: Named<StationInput>, place: StationPlace): TagAt[] {
  const { scope, line, input } = place;
  const { context, process } = scope;
  const template = templateOf(station, scope.templates, context);
  const parameters = parametersOf(station, template, context);
  const own =
    station.value.tags === undefined ? [] : listTags(station.value.tags, [...station.path, 'tags'], context);
  const overrides = checkOverrides(station, template, scope);
  const site = scope.input.site;
  const defaults: Layer[] = [
    { origin: 'site defaults', isDefault: true, values: scope.input.defaults, path: ['defaults'] },
    {
      origin: `line ${line}`,
      isDefault: true,
      values: defaultsOf(input),
      path: ['processes', process, 'lines', line],
    },
    {
      origin: `station ${station.name}`,
      isDefault: true,
      values: defaultsOf(station.value),
      path: station.path,
      location: station.location,
    },
  ];
  const tagScope: TagScope = {
    site,
    process,
    line,
    station: station.name,
    nameTemplate: scope.input.nameTemplate,
    context,
  };
  const fixed: [string, string | number][] = [
    ...parameters.values,
    ['site', site],
    ['process', process],
    ['line', line],
    ['station', station.name],
    ...(place.unit === undefined ? [] : [['unit', place.unit] as [string, number]]),
  ];
  const templateTags = template?.tags ?? [];
  const known = new Set(templateTags.map((tag) => tag.name));
  for (const tag of own) {
    if (!known.has(tag.name)) continue;
    context.problems.add(
      tag.path,
      `template ${template?.name} already has a tag ${JSON.stringify(tag.name)}`,
      {
        hint: 'use "overrides" to change keys of it',
      },
    );
  }
  return [...templateTags, ...own].map((tag, position) => {
    const isOwn = position >= templateTags.length;
    const layer = {
      origin: isOwn ? `station ${station.name}` : `template ${template?.name}`,
      isDefault: false,
    };
    const override = isOwn || !Object.hasOwn(overrides, tag.name) ? undefined : overrides[tag.name];
    const layers: Layer[] = [
      ...defaults,
      { ...layer, values: tag.value, path: tag.path, location: tag.location },
    ];
    if (override !== undefined) {
      const path = [...station.path, 'overrides', tag.name];
      layers.push({
        origin: `override of station ${station.name}`,
        isDefault: false,
        values: override,
        path,
      });
    }
    const values: ParameterValues = new Map([...fixed, ['tag', tag.name]]);
    const source = {
      name: tag.name,
      index: place.index + position,
      layers,
      values,
      guessed: parameters.guessed,
    };
    return { reader: new TagReader(source, tagScope), path: tag.path };
  });
}

const DEFAULT_KEYS = Object.keys(tagDefaultsShape) as (keyof typeof tagDefaultsShape)[];

/** The keys of a line or station that are defaults for its tags. */
function defaultsOf(input: Partial<Pick<TagInput, keyof typeof tagDefaultsShape>>): Partial<TagInput> {
  return Object.fromEntries(
    DEFAULT_KEYS.filter((key) => input[key] !== undefined).map((key) => [key, input[key]]),
  );
}

function checkOverrides(
  station: Named<StationInput>,
  template: Template | undefined,
  scope: LineScope,
): Readonly<Record<string, TagInput>> {
  const overrides = station.value.overrides ?? {};
  const { problems } = scope.context;
  const isBroken =
    template === undefined ? station.value.template !== undefined : problems.touches(template.path);
  const names = template?.tags.map((tag) => tag.name) ?? [];
  const known = new Set(names);
  for (const name of Object.keys(overrides)) {
    if (known.has(name) || isBroken) continue;
    const whose =
      template === undefined ? 'the station has no template' : `template ${template.name} has no such tag`;
    problems.add([...station.path, 'overrides', name], whose, { hint: suggestion(name, names) });
  }
  return overrides;
}

function explain(tag: { readonly name: string }, values: readonly Explained[], scope: LineScope): void {
  scope.explained?.set(tag.name, values);
}

interface Doubles {
  /** Tags by what they read. */
  readonly seen: Map<string, string>;
  readonly path: JsonPath;
}

function warnOfDoubles(tag: ModbusTag, at: Doubles, scope: LineScope): void {
  const place = `${tag.table} ${tag.address} as ${tag.rawType}`;
  const key = `${place} ${tag.bitIndex}`;
  const other = at.seen.get(key);
  if (other === undefined) at.seen.set(key, tag.name);
  else scope.warnings.add([...at.path, 'address'], `${tag.name} reads what ${other} reads: ${place}`);
}

function warnOfUnits(
  stations: readonly { name: string; unit: number }[],
  path: JsonPath,
  scope: LineScope,
): void {
  for (const { name, unit } of stations) {
    if (unit >= 1 && unit <= 247) continue;
    scope.warnings.add([...path, 'stations', name, 'unit'], 'not an address of a device on a serial line', {
      expected: '1 to 247 (Modbus over serial line V1.02, 2.2)',
      got: String(unit),
    });
  }
}
