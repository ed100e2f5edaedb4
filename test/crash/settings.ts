/** What the writer and the one who judges it agree on. */
import type { Sample } from '../../src/domain/sample.ts';

/** Pace of the samples. */
export const TICK_MS = 4;

export const SETTINGS = {
  /** At most; a store may have blocks of one tick each. */
  blockAgeMs: 50,
  spillAgeMs: 150,
  aliveMarkMs: 40,
  windowBytes: 100_000,
  lostAtMost: 516_384,
} as const;

export interface StoreSettings {
  readonly policy: 'always' | 'on-outage';
  readonly capacityBytes: number;
  readonly blockAgeMs: number;
}

/**
 * Small ones, that evict every few runs, and change the segment within an append; and larger ones, whose
 * segments take long enough to make the next one ahead of need; and such with blocks so small that they are
 * joined when their segment is sealed.
 */
export const STORES: readonly StoreSettings[] = [
  { policy: 'always', capacityBytes: 120_000, blockAgeMs: SETTINGS.blockAgeMs },
  { policy: 'always', capacityBytes: 700_000, blockAgeMs: SETTINGS.blockAgeMs },
  { policy: 'on-outage', capacityBytes: 120_000, blockAgeMs: SETTINGS.blockAgeMs },
  { policy: 'on-outage', capacityBytes: 700_000, blockAgeMs: SETTINGS.blockAgeMs },
  { policy: 'always', capacityBytes: 80_000, blockAgeMs: 1 },
  { policy: 'on-outage', capacityBytes: 80_000, blockAgeMs: 1 },
];

/** The one content that a number of a stream can have: a text, or a number where blocks are to be joined. */
export function sampleOf(
  streamId: string,
  sequence: number,
  { blockAgeMs }: Pick<StoreSettings, 'blockAgeMs'>,
): Sample {
  const start = streamId.slice(0, 8);
  const mixed = Math.imul(sequence, 2654435761) >>> 0;
  const isSmall = blockAgeMs < SETTINGS.blockAgeMs;
  return {
    tagIndex: sequence % 10,
    sourceTimeUs: 1_800_000_000_000_000 + sequence * 1000,
    value: isSmall
      ? (mixed ^ Number.parseInt(start, 16)) & 0x3ff
      : `${start} ${sequence} ${mixed.toString(36)}`,
    quality: 0,
    cause: 'change',
  };
}

/** The ring confirmed what it was asked for. */
export interface Durable {
  readonly kind: 'durable';
  readonly first: number;
  readonly through: number;
  readonly atMs: number;
  /** The power-cut bound that the product states at this moment. */
  readonly boundMs: number;
  /** The append changed to another segment. */
  readonly isChange: boolean;
}

/** What the writer says, a line each: kind, numbers separated by spaces. */
export type Said =
  /** A stream was minted durably. */
  | { readonly kind: 'minted'; readonly streamId: string }
  /** Numbered through a sequence, at a monotonic time that all processes share. */
  | { readonly kind: 'numbered'; readonly through: number; readonly atMs: number }
  /** It would number samples now if it did not stand by. */
  | { readonly kind: 'idle'; readonly atMs: number }
  /** A block that ends with a sequence was made. */
  | { readonly kind: 'sealed'; readonly through: number; readonly atMs: number }
  /** The ring was asked to make blocks durable. */
  | { readonly kind: 'asked'; readonly first: number; readonly through: number; readonly atMs: number }
  /** The ring confirmed it. */
  | Durable
  /** The writer gives no numbers above this one, and is about to mark that; or the mark is durable. */
  | { readonly kind: 'standing by' | 'stood by'; readonly through: number }
  /** It is about to mark that it is active again; or the mark is durable, and numbers follow. */
  | { readonly kind: 'activating' | 'active' }
  /** A Kernel has it. */
  | { readonly kind: 'delivered'; readonly streamId: string; readonly through: number }
  /** A durable gap record was told. */
  | { readonly kind: 'gap'; readonly streamId: string; readonly first: number; readonly last: number };

export function sayings(text: string): Said[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Said]));
}

/** Milliseconds of the system's monotonic clock, the same for every process. */
export function sharedMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
