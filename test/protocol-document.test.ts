import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { blockEntryAt, decodeBlock, encodeBlock, readBlock } from '../src/domain/block/codec.ts';
import { type CoverageState, coverWithData, coverWithGap, EMPTY_COVERAGE } from '../src/domain/coverage.ts';
import { encodeDictionary } from '../src/domain/dictionary-codec.ts';
import {
  type BlockEntry,
  isClockFix,
  isTimeGap,
  SAMPLE_CAUSES,
  type SampleValue,
  TIME_GAP_REASONS,
} from '../src/domain/sample.ts';
import { settledCoverage } from '../src/kernel/chain.ts';
import { toldCoverage } from '../src/kernel/told-coverage.ts';
import { encodeMessage } from '../src/uplink/codec.ts';
import { crc32c, decodeBlock as decodeElsewhere, openBlock } from './third-party/block.ts';
import { type Cover, covered, told } from './third-party/coverage.ts';
import type { Entry } from './third-party/entry.ts';
import { FRAME } from './third-party/messages.ts';

const ROOT = join(import.meta.dirname, '..');
const DOCUMENT = readFileSync(join(ROOT, 'docs/PROTOCOL.md'), 'utf8');
const CONTRACT = readFileSync(join(ROOT, 'src/uplink/kernel.proto'), 'utf8');

/** The code block behind a mark of the document. */
function example(name: string): string {
  const [, text] = DOCUMENT.split(`<!-- example: ${name} -->\n`);
  const code = /^```\w+\n([\s\S]*?)```/.exec(text ?? '')?.[1];
  if (code === undefined) throw new Error(`no example ${name}`);
  return code;
}

function bytesOf(name: string): Uint8Array {
  return Uint8Array.from(Buffer.from(example(name).replace(/\s/g, ''), 'hex'));
}

type Shown = Omit<Partial<Entry>, 'value'> & { readonly value?: unknown; readonly text?: unknown };

/** An entry as the document shows it. */
function shown(entry: Entry): Shown {
  const { sequence, kind, value } = entry;
  if (kind === 'time gap' || kind === 'clock fix') return { sequence, kind, text: JSON.parse(String(value)) };
  return { ...entry, value: typeof value === 'bigint' ? value.toString() : value };
}

/** What the program decodes, in the words of the third party. */
function entriesOf(bytes: Uint8Array): unknown[] {
  const block = decodeBlock(readBlock(bytes));
  return Array.from({ length: block.header.count }, (_, at): unknown => {
    const entry = blockEntryAt(block, at);
    const sequence = block.header.firstSequence + at;
    if (isTimeGap(entry)) return { sequence, kind: 'time gap', text: entry };
    if (isClockFix(entry)) return { sequence, kind: 'clock fix', text: entry };
    const { tagIndex: tag, sourceTimeUs: timeUs, value, ...rest } = entry;
    return { sequence, tag, timeUs, kind: kindOf(value), value: withoutBigint(value), ...rest };
  });
}

function kindOf(value: SampleValue): string {
  if (value === null) return 'none';
  const kinds = { boolean: 'boolean', bigint: 'int64', number: 'float64', string: 'text' } as const;
  return kinds[typeof value as keyof typeof kinds];
}

function withoutBigint(value: SampleValue): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

it.each(['', ' 1'])('the example%s of a block is what both decoders read', (version) => {
  const bytes = bytesOf(`block${version}`);
  const expected = JSON.parse(example(`entries${version}`)) as unknown[];
  expect(decodeElsewhere(openBlock(bytes)).map(shown)).toEqual(expected);
  expect(entriesOf(bytes)).toEqual(expected);
});

it('the example of a block is what agents write, under the dictionary of the example', () => {
  const bytes = bytesOf('block');
  const block = decodeBlock(readBlock(bytes));
  const entries = Array.from({ length: block.header.count }, (_, at) => blockEntryAt(block, at));
  expect(Buffer.from(encodeBlock(entries, block.header).bytes).toString('hex')).toBe(
    Buffer.from(bytes).toString('hex'),
  );
  const dictionary = JSON.parse(example('dictionary')) as Parameters<typeof encodeDictionary>[0];
  const encoded = encodeDictionary(dictionary);
  expect(encoded.hash).toBe(block.header.dictionaryHash);
  expect(Buffer.from(encoded.bytes).toString('utf8')).toBe(example('dictionary').trim());
});

it('the example of a frame is that Ack', () => {
  const held = [{ first: 60, last: 75 }];
  const coverage = [{ streamId: '00112233445566778899aabbccddeeff', throughSequence: 52, held }];
  expect(Buffer.from(encodeMessage({ type: 'ack', coverage })).toString('hex')).toBe(
    Buffer.from(bytesOf('ack frame')).toString('hex'),
  );
});

it('the CRC is that of the document', () => {
  expect(DOCUMENT).toContain(`0x${crc32c(Buffer.from('123456789')).toString(16).toUpperCase()}`);
});

const timeUs = fc.integer({ min: 0, max: 4_100_000_000_000_000 });
const value = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -1000n, max: 1000n }),
  fc.double(),
  fc.float(),
  fc.integer({ min: -10_000, max: 10_000 }).map((integer) => integer / 100),
  fc.integer({ min: -10_000, max: 10_000 }).map((integer) => Math.fround(integer / 10)),
  fc.string({ unit: 'grapheme' }),
);
const sample = fc
  .record({
    tagIndex: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 150_000 })),
    sourceTimeUs: fc.oneof(
      fc.integer({ min: 1, max: 9 }).map((second) => second * 1_000_000),
      timeUs,
    ),
    value,
    quality: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff_ffff })),
    cause: fc.constantFrom(...SAMPLE_CAUSES),
    deviceTimeUs: fc.option(timeUs, { nil: undefined, freq: 5 }),
    isOwnTime: fc.boolean(),
  })
  .map(({ deviceTimeUs, isOwnTime, ...rest }): BlockEntry => {
    if (deviceTimeUs === undefined) return rest;
    return { ...rest, deviceTimeUs: isOwnTime ? rest.sourceTimeUs : deviceTimeUs };
  });
const timeGap = fc.record({
  station: fc.option(fc.string()),
  tags: fc.array(fc.string(), { maxLength: 3 }),
  ...{ fromUs: timeUs, toUs: timeUs, reason: fc.constantFrom(...TIME_GAP_REASONS) },
});
const clockFix = fc.record({
  ...{ streamId: fc.constant('ab'.repeat(16)), firstSequence: fc.constant(3), lastSequence: fc.constant(9) },
  ...{ offsetUs: fc.integer(), atUs: timeUs },
});
const entry = fc.oneof(
  { weight: 20, arbitrary: sample },
  { weight: 1, arbitrary: timeGap },
  { weight: 1, arbitrary: clockFix },
);

it('a decoder that was written from the documents reads every block as the program does', () => {
  const header = { streamId: '00'.repeat(16), firstSequence: 7, sealedMonotonicUs: 0 };
  const blocks = fc.oneof(
    fc.array(entry, { minLength: 1, maxLength: 60 }),
    // Alike and many: runs, sparse columns, zstd.
    fc
      .tuple(fc.array(entry, { minLength: 1, maxLength: 3 }), fc.integer({ min: 100, max: 400 }))
      .map(([few, times]) => Array.from({ length: times }, () => few).flat()),
  );
  fc.assert(
    fc.property(blocks, (list) => {
      const { bytes } = encodeBlock(list, { ...header, dictionaryHash: 'ff'.repeat(16) });
      expect(decodeElsewhere(openBlock(bytes)).map(shown)).toEqual(entriesOf(bytes));
    }),
    { numRuns: 200 },
  );
});

const RANGE = fc.record({
  first: fc.integer({ min: 1, max: 60 }),
  length: fc.integer({ min: 1, max: 15 }),
  state: fc.constantFrom<CoverageState>('data', 'evicted', 'crash', 'store-lost'),
});

it('coverage that was written from the documents is that of the program', () => {
  fc.assert(
    fc.property(fc.array(RANGE, { maxLength: 40 }), fc.boolean(), (ranges, isRunning) => {
      let ours = EMPTY_COVERAGE;
      let theirs: readonly Cover[] = [];
      for (const { first, length, state } of ranges) {
        const range = { first, last: first + length - 1 };
        ours = (state === 'data' ? coverWithData(ours, range) : coverWithGap(ours, range, state)).coverage;
        theirs = covered(theirs, { ...range, state }).coverage;
      }
      expect(theirs).toEqual(ours);
      const [settled] = toldCoverage([{ streamId: '', coverage: settledCoverage(ours, isRunning) }], 100);
      const { through, held } = told(theirs, isRunning);
      expect({ streamId: '', throughSequence: through, held }).toEqual(settled);
    }),
    { numRuns: 300 },
  );
});

it('it refuses what is not a block of ours', () => {
  const bytes = bytesOf('block');
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte));
    // The version and the byte behind it are not under the CRC.
    if (at === 3) continue;
    expect(() => decodeElsewhere(openBlock(damaged)), `byte ${at}`).toThrow();
  }
});

it('every message of the contract has its place in the document, and the number that it says', () => {
  const [, frame] = /message Frame \{\s*oneof message \{([\s\S]*?)\}/.exec(CONTRACT) ?? [];
  const messages = [...(frame ?? '').matchAll(/(\w+) (\w+) = (\d+);/g)];
  expect(messages.length).toBeGreaterThan(10);
  for (const [, type, field, number] of messages) {
    expect(DOCUMENT, type).toContain(type);
    const name = (field ?? '').replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    expect(Object.entries(FRAME)).toContainEqual([name, Number(number)]);
  }
});

it('the third party takes nothing of the program', () => {
  const directory = join(ROOT, 'test/third-party');
  for (const file of readdirSync(directory)) {
    const text = readFileSync(join(directory, file), 'utf8');
    const specifiers = [...text.matchAll(/\b(?:from|import) '([^']+)'/g)].map(([, specifier]) => specifier);
    expect(
      specifiers.filter((each) => !/^(node:|\.\/)/.test(each ?? '')),
      file,
    ).toEqual([]);
  }
});
