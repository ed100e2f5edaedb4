import type { OpcuaTag } from '../../config/model.ts';
import type { SampleValue } from '../../domain/sample.ts';

/** OPC UA types that a simulated point may have; chosen by the tag's type and the hash of its name. */
export type PointType =
  | 'Boolean'
  | 'Int16'
  | 'UInt32'
  | 'Int32'
  | 'Int64'
  | 'UInt64'
  | 'Float'
  | 'Double'
  | 'String'
  | 'LocalizedText';

/** A simulated point: its value now, and how it goes on. */
export interface Point {
  readonly tag: OpcuaTag;
  readonly type: PointType;
  /** It changes at this pace, slower than it is sampled, so that sampling sees every change. */
  readonly periodMs: number;
  /** The value in the archive's words. */
  value: SampleValue;
  /** Integer ms since 1970 of the value; strictly increasing. */
  sourceTimeMs: number;
  /** Monotonic ms of the next change. */
  dueMs: number;
  /** How often it has changed. */
  changes: number;
}

const INT_TYPES: readonly PointType[] = ['Int64', 'Int32', 'UInt32', 'Int16', 'UInt64'];
const INT64_MAX = 2n ** 63n - 1n;
const LIMITS: Readonly<Partial<Record<PointType, readonly [bigint, bigint]>>> = {
  Int16: [-32_768n, 32_767n],
  Int32: [-(2n ** 31n), 2n ** 31n - 1n],
  UInt32: [0n, 2n ** 32n - 1n],
  Int64: [-(2n ** 63n), INT64_MAX],
  UInt64: [0n, INT64_MAX],
};
const TEXTS = ['idle', 'starting', 'running', 'stopping', 'café ☕', ''];
/** A server samples no faster than this, whatever is asked. */
const SAMPLING_MIN_MS = 50;

/** A point in its first state. `random` decides paces and starts. */
export function createPoint(tag: OpcuaTag, seed: number, nowMs: number): Point {
  const hash = hashOf(`${seed}/${tag.name}`);
  const samplingMs = Math.max(tag.samplingIntervalMs, SAMPLING_MIN_MS);
  const periodMs = Math.round(samplingMs * (2.5 + (hash % 100) / 25));
  const type = typeOf(tag, hash);
  const dueMs = nowMs + (hash % periodMs);
  return { tag, type, periodMs, dueMs, sourceTimeMs: 0, changes: 0, value: firstValue(type, hash) };
}

/** The value after the point's. */
export function nextValue(point: Point): SampleValue {
  const { value, type, changes } = point;
  const hash = hashOf(`${point.tag.name}#${changes}`);
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'bigint') return nextInteger(value, type, hash);
  if (typeof value === 'number') {
    const moved = value + ((hash % 2001) - 1000) / 250;
    return type === 'Float' ? Math.fround(moved) : moved;
  }
  return `${TEXTS[hash % TEXTS.length]} ${changes}`.trim();
}

/** Counters run on; at the end of their type they start again at its beginning. */
function nextInteger(value: bigint, type: PointType, hash: number): bigint {
  const [lowest, highest] = LIMITS[type] ?? [0n, INT64_MAX];
  const next = value + BigInt(1 + (hash % 3));
  return next > highest ? lowest : next;
}

function typeOf(tag: OpcuaTag, hash: number): PointType {
  switch (tag.type) {
    case 'bool':
      return 'Boolean';
    case 'int64':
      return INT_TYPES[hash % INT_TYPES.length] ?? 'Int64';
    case 'float64':
      return hash % 3 === 0 ? 'Float' : 'Double';
    case 'text':
      return hash % 2 === 0 ? 'String' : 'LocalizedText';
  }
}

function firstValue(type: PointType, hash: number): SampleValue {
  switch (type) {
    case 'Boolean':
      return hash % 2 === 0;
    case 'Float':
      return Math.fround((hash % 10_000) / 100);
    case 'Double':
      return (hash % 1_000_000) / 1000;
    case 'String':
    case 'LocalizedText':
      return `${TEXTS[hash % TEXTS.length]} 0`.trim();
    default: {
      const [lowest, highest] = LIMITS[type] ?? [0n, 0n];
      // Half of the wide counters start where only exact integers are right.
      return hash % 2 === 0 && (type === 'Int64' || type === 'UInt64')
        ? highest - 1_000_000n
        : lowest < 0n && hash % 4 === 1
          ? lowest
          : BigInt(hash % 1000);
    }
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
