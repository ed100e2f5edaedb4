/* What a block holds; the words are those of kernel.proto. */

export interface Header {
  readonly streamId: string;
  readonly firstSequence: number;
  readonly count: number;
  readonly fromUs: number;
  readonly spanUs: number;
  readonly dictionaryHash: string;
  readonly isClockUncertain: boolean;
}

export const KINDS = ['none', 'boolean', '', 'int64', 'float64', 'text', 'time gap', 'clock fix'] as const;
export const CAUSES = ['change', 'snapshot', 'periodic', 'backfill', 'substituted'] as const;

export interface Entry {
  readonly sequence: number;
  readonly tag: number;
  readonly timeUs: number;
  readonly kind: (typeof KINDS)[number];
  readonly value: null | boolean | bigint | number | string;
  readonly quality: number;
  readonly cause: (typeof CAUSES)[number];
  readonly deviceTimeUs?: number;
}

/** What the columns say; every list has one element an entry. */
export interface Columns {
  readonly tags: readonly number[];
  readonly times: readonly number[];
  /** Kind + 8 × cause + 64 where the source time is the device's. */
  readonly symbols: readonly number[];
  readonly qualities: readonly number[];
  readonly values: readonly Entry['value'][];
  readonly deviceTimes: ReadonlyMap<number, number>;
}
