import type { ValueType } from '../domain/dictionary.ts';
import { parseDurationMs } from '../domain/units.ts';
import { ExpressionError, evaluateInteger, fillText, type ParameterValues } from './expression.ts';
import type { FileContext } from './files.ts';
import type { ModbusRawType, ModbusTag, OpcuaTag, TagBase } from './model.ts';
import { describeValue, type JsonPath } from './problems.ts';
import { MODBUS_RAW_TYPES, OPCUA_TYPES, type TagInput } from './schema-tag.ts';

/** One level at which keys of a tag can be given; later levels win. */
export interface Layer {
  /** For people: "template pump". */
  readonly origin: string;
  /** A default for many tags, as against a key of the tag itself. */
  readonly isDefault: boolean;
  readonly values: Partial<TagInput>;
  readonly path: JsonPath;
  readonly location?: string | undefined;
}

/** What the program assumes where nothing is given. */
const PROGRAM_DEFAULTS = {
  table: 'holding-register',
  scale: 1,
  offset: 0,
  class: 'measurement',
  unit: '',
  description: '',
  formerly: [],
  scan: '1s',
  queueSize: 10,
  reportAtLeastEvery: '10min',
  deadband: 0,
  wordOrder: 'big',
  byteOrder: 'big',
} as const;

/** What is common to the tags of a station. */
export interface TagScope {
  readonly site: string;
  readonly process: string;
  readonly line: string;
  readonly station: string;
  readonly nameTemplate: string;
  readonly context: FileContext;
}

/** A tag to make: where its keys come from, and what its placeholders stand for. */
export interface TagSource {
  readonly name: string;
  readonly index: number;
  /** Lowest first: defaults, line, station, tag, override. */
  readonly layers: readonly Layer[];
  readonly values: ParameterValues;
  /** Some of the values only stand in for wrong ones: what they lead to is not reported. */
  readonly guessed: boolean;
}

/** The key of a tag, its value, and where that came from. */
export interface Explained {
  readonly key: string;
  readonly value: string;
  readonly origin: string;
}

const MODBUS_KEYS = ['address', 'table', 'bitIndex', 'scale', 'offset', 'wordOrder', 'byteOrder'] as const;
const OPCUA_KEYS = ['nodeId', 'sampling', 'queueSize'] as const;
const EXPLAINED_KEYS = {
  modbus: ['table', 'address', 'type', 'bitIndex', 'wordOrder', 'byteOrder', 'scale', 'offset', 'scan'],
  opcua: ['nodeId', 'type', 'sampling', 'queueSize'],
  both: ['unit', 'class', 'deadband', 'reportAtLeastEvery', 'description', 'formerly'],
} as const;

type Key = keyof TagInput;
const defaults: Readonly<Partial<Record<Key, unknown>>> = PROGRAM_DEFAULTS;

/** Registers that a raw value takes; a bit takes the one that it is in. */
function registersOf(type: ModbusRawType): number {
  if (type.endsWith('64')) return 4;
  return type.endsWith('32') ? 2 : 1;
}

/** Reads the keys of one tag through its layers. */
export class TagReader {
  readonly #source: TagSource;
  readonly #scope: TagScope;
  readonly #merged: Partial<TagInput>;
  #failed = false;

  constructor(source: TagSource, scope: TagScope) {
    this.#source = source;
    this.#scope = scope;
    this.#merged = Object.assign({}, ...source.layers.map((layer) => layer.values));
  }

  /** True once something was reported; the tag cannot be used then. */
  get failed(): boolean {
    return this.#failed;
  }

  get<K extends Key>(key: K): TagInput[K] {
    return this.#merged[key] as TagInput[K];
  }

  /** What was calculated rests on a stand-in. */
  get isGuessed(): boolean {
    return this.#source.guessed;
  }

  /** Given at the tag itself or its override, not as a default. */
  isOwn(key: Key): boolean {
    return this.#source.layers.some((layer) => layer.values[key] !== undefined && !layer.isDefault);
  }

  fail(key: Key, message: string, detail: { expected?: string; got?: string; hint?: string } = {}): void {
    this.#failed = true;
    const layer = this.layerOf(key) ?? this.#tagLayer();
    const path = [...(layer?.path ?? []), key];
    const location = layer?.location;
    this.#scope.context.problems.add(
      path,
      `tag ${this.#source.name} of station ${this.#scope.station}: ${message}`,
      {
        ...detail,
        ...(location === undefined ? {} : { location }),
      },
    );
  }

  /** The text of a key with its placeholders filled in. */
  text(key: Key, template: string): string {
    return this.#evaluate(key, () => fillText(template, this.#source.values)) ?? '';
  }

  integer(key: Key, value: number | string): number {
    if (typeof value === 'number') return value;
    return this.#evaluate(key, () => evaluateInteger(value, this.#source.values)) ?? 0;
  }

  milliseconds(key: 'scan' | 'sampling' | 'reportAtLeastEvery', fallback: string): number {
    return parseDurationMs(this.get(key) ?? fallback) ?? 0;
  }

  layerOf(key: Key): Layer | undefined {
    return this.#source.layers.findLast((layer) => layer.values[key] !== undefined);
  }

  /** Keys of a tag that belong to another driver. */
  refuse(keys: readonly Key[], driver: string): void {
    for (const key of keys) {
      if (this.isOwn(key)) this.fail(key, `${key} means nothing on a line of driver ${driver}`);
    }
  }

  base(type: ValueType): TagBase {
    const { station, process, line, site, nameTemplate } = this.#scope;
    const tag = this.#source.name;
    const names = new Map(Object.entries({ site, process, line, station, tag }));
    const name = this.#evaluate('description', () => fillText(nameTemplate, names)) ?? '';
    const numeric = type === 'int64' || type === 'float64';
    const tagClass = this.get('class') ?? PROGRAM_DEFAULTS.class;
    if (!numeric && this.isOwn('deadband') && this.get('deadband') !== 0) {
      this.fail('deadband', `a ${type} has no deadband`);
    }
    const definition = this.#tagLayer();
    const location = definition?.location === undefined ? '' : `, ${definition.location}`;
    const from = definition?.origin ?? '';
    const owner = from === `station ${station}` ? from : `${from}, station ${station}`;
    return {
      index: this.#source.index,
      name,
      class: tagClass,
      type,
      engineeringUnit: this.get('unit') ?? PROGRAM_DEFAULTS.unit,
      description: this.text('description', this.get('description') ?? PROGRAM_DEFAULTS.description),
      formerly: (this.get('formerly') ?? PROGRAM_DEFAULTS.formerly).map((each) =>
        this.text('formerly', each),
      ),
      deadband:
        numeric && tagClass === 'measurement' ? (this.get('deadband') ?? PROGRAM_DEFAULTS.deadband) : 0,
      reportAtLeastEveryMs: this.milliseconds('reportAtLeastEvery', PROGRAM_DEFAULTS.reportAtLeastEvery),
      origin: `${owner}${location}`,
    };
  }

  /** Every key with its value and where that was given. */
  explain(driver: 'modbus' | 'opcua', resolved: Readonly<Partial<Record<Key, unknown>>>): Explained[] {
    return [...EXPLAINED_KEYS[driver], ...EXPLAINED_KEYS.both].flatMap((key) => {
      const layer = this.layerOf(key);
      const value = resolved[key] ?? this.get(key) ?? defaults[key] ?? '';
      const text = Array.isArray(value) ? value.join(', ') : String(value);
      if (text === '' && layer === undefined) return [];
      const place = layer?.location === undefined ? '' : ` (${layer.location})`;
      return [{ key, value: text, origin: layer === undefined ? 'default' : `${layer.origin}${place}` }];
    });
  }

  #tagLayer(): Layer | undefined {
    return this.#source.layers.find((layer) => !layer.isDefault);
  }

  #evaluate<Value>(key: Key, make: () => Value): Value | undefined {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.#failed = true;
      if (!this.#source.guessed) this.fail(key, error.message);
      return undefined;
    }
  }
}

/** A Modbus tag, or `undefined` after reporting what is wrong with it. */
export function makeModbusTag(reader: TagReader): ModbusTag | undefined {
  reader.refuse(OPCUA_KEYS, 'Modbus');
  const table = reader.get('table') ?? PROGRAM_DEFAULTS.table;
  const ofBits = table === 'coil' || table === 'discrete-input';
  const type = reader.get('type') ?? (ofBits ? 'bit' : undefined);
  const rawType = MODBUS_RAW_TYPES.find((each) => each === type);
  const given = reader.get('address');
  if (given === undefined) {
    reader.fail('address', 'missing', { expected: 'an address from 0 to 65535' });
    return undefined;
  }
  if (rawType === undefined || (ofBits && rawType !== 'bit')) {
    const expected = ofBits ? '"bit"' : MODBUS_RAW_TYPES.join(', ');
    if (type === undefined) reader.fail('type', `missing; a ${table} does not tell it`, { expected });
    else reader.fail('type', `not a type of a ${table}`, { expected, got: describeValue(type) });
    return undefined;
  }
  const isRegisterBit = rawType === 'bit' && !ofBits;
  if (isRegisterBit !== (reader.get('bitIndex') !== undefined)) {
    const message = isRegisterBit ? 'missing; a bit of a register needs it' : 'only for a bit of a register';
    reader.fail('bitIndex', message, isRegisterBit ? { expected: '0 to 15' } : {});
  }
  const scale = reader.get('scale') ?? PROGRAM_DEFAULTS.scale;
  const offset = reader.get('offset') ?? PROGRAM_DEFAULTS.offset;
  if (rawType === 'bit' && (scale !== 1 || offset !== 0)) reader.fail('scale', 'a bit is not scaled');
  if (scale === 0) reader.fail('scale', 'a scale of 0 leaves nothing of the value');
  const address = reader.integer('address', given);
  const last = address + (ofBits ? 1 : registersOf(rawType)) - 1;
  if ((address < 0 || last > 65_535) && !reader.isGuessed) {
    const got = typeof given === 'string' ? `${address} from ${JSON.stringify(given)}` : String(address);
    reader.fail('address', `a value of type ${rawType} there is outside the table`, {
      expected: '0 to 65535',
      got,
    });
  }
  const base = reader.base(archivedType(rawType, scale, offset));
  if (reader.failed) return undefined;
  return {
    ...base,
    table,
    address,
    rawType,
    bitIndex: reader.get('bitIndex') ?? 0,
    wordOrder: reader.get('wordOrder') ?? PROGRAM_DEFAULTS.wordOrder,
    byteOrder: reader.get('byteOrder') ?? PROGRAM_DEFAULTS.byteOrder,
    scale,
    offset,
    scanMs: reader.milliseconds('scan', PROGRAM_DEFAULTS.scan),
  };
}

/** An OPC UA tag, or `undefined` after reporting what is wrong with it. */
export function makeOpcuaTag(reader: TagReader): OpcuaTag | undefined {
  reader.refuse(MODBUS_KEYS, 'opcua');
  const given = reader.get('nodeId');
  const type = OPCUA_TYPES.find((each) => each === reader.get('type'));
  if (given === undefined)
    reader.fail('nodeId', 'missing', { expected: 'a node id such as "ns=2;s=Pump1.Flow"' });
  if (type === undefined) {
    const got = reader.get('type');
    const detail = {
      expected: OPCUA_TYPES.join(', '),
      ...(got === undefined ? {} : { got: describeValue(got) }),
    };
    reader.fail('type', got === undefined ? 'missing' : 'not a type of OPC UA values', detail);
  }
  const nodeId = reader.text('nodeId', given ?? '');
  if (given !== undefined && !reader.failed && !reader.isGuessed && !NODE_ID.test(nodeId)) {
    reader.fail('nodeId', 'not a node id', {
      expected: 'such as "ns=2;s=Pump1.Flow", "ns=2;i=1001" or "nsu=urn:…;s=…"',
      got: describeValue(nodeId),
    });
  }
  const base = reader.base(type ?? 'text');
  if (reader.failed) return undefined;
  const scan = reader.get('scan') ?? PROGRAM_DEFAULTS.scan;
  return {
    ...base,
    nodeId,
    samplingIntervalMs: reader.milliseconds('sampling', scan),
    queueSize: reader.get('queueSize') ?? PROGRAM_DEFAULTS.queueSize,
  };
}

/** OPC 10000-6, 5.3.1.10; the name space may be given by its URI. */
const NODE_ID = new RegExp(
  `^(?:ns=\\d{1,5};|nsu=[^;]+;)?(?:${[
    'i=\\d{1,10}',
    's=[\\s\\S]+',
    'g=[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}',
    'b=[A-Za-z0-9+/]+=*',
  ].join('|')})$`,
);

function archivedType(rawType: ModbusRawType, scale: number, offset: number): ValueType {
  if (rawType === 'bit') return 'bool';
  return rawType.includes('int') && scale === 1 && offset === 0 ? 'int64' : 'float64';
}
