/** Commits blocks to the archive of a directory for ever and prints the last number of each commit. */
import { decodeBlock, encodeBlock } from '../../src/domain/block/codec.ts';
import { contiguousEnd } from '../../src/domain/coverage.ts';
import type { Sample } from '../../src/domain/sample.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { silentLog } from '../../src/world/log.ts';

const STREAM = 'a'.repeat(32);
const HASH = 'd'.repeat(32);
const T0 = Date.UTC(2026, 10, 22, 12) * 1000;
const tag = {
  name: 'P1.a',
  station: 'P1',
  class: 'measurement',
  type: 'int64',
  unit: '',
  formerly: [],
} as const;
const dictionary = { site: 'S', process: 'KomA', tags: [tag] };

const directory = process.argv[2] ?? '';
const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 256e6, log: silentLog });
await archive.putDictionary(HASH, new Uint8Array([1]), dictionary);
const info = { streamId: STREAM, bootId: 'e'.repeat(32), startedAtUs: T0, previous: null };
const stream = { ...info, site: 'S', process: 'KomA', instance: 1 };

let last = contiguousEnd(await archive.coverage(STREAM));
for (;;) {
  const entries = Array.from({ length: 1 + (last % 700) }, (_, i): Sample => {
    const sequence = last + 1 + i;
    const time = { tagIndex: 0, sourceTimeUs: T0 + sequence * 1000 };
    return { ...time, value: BigInt(sequence), quality: 0, cause: 'change' };
  });
  const options = { streamId: STREAM, firstSequence: last + 1, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  await archive.commit({
    ...{ streams: [stream], gaps: [], ended: [], receivedAtUs: T0 },
    blocks: [{ block: decodeBlock(encodeBlock(entries, options)), dictionary }],
    observed: [{ streamId: STREAM, untilUs: T0 + last * 1000 }],
  });
  last += entries.length;
  process.stdout.write(`${last}\n`);
}
