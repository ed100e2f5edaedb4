/** Fills a ring and kills itself in the middle of its work: `node ring-fill-child.ts <directory> <bytes>`. */
import { lastSequence } from '../src/domain/block/block.ts';
import { encodeBlock } from '../src/domain/block/codec.ts';
import { openBenchRing, sealedBlocks } from './ring/parts.ts';

const [directory = '', capacity = ''] = process.argv.slice(2);
const capacityBytes = Number(capacity);
const ring = await openBenchRing(directory, { capacityBytes });
const { streamId } = ring.stream;
const payload = sealedBlocks('noise', streamId, 2e6);
let written = 0;
let sequence = 1;
while (written < 1.1 * capacityBytes) {
  // One long text each: bytes that cost nothing to make, in blocks of their own sequence.
  const blocks = payload.map(({ bytes, header }) => {
    const value = Buffer.from(bytes).toString('latin1');
    const sample = { tagIndex: 0, sourceTimeUs: header.fromUs + sequence, value, quality: 0 } as const;
    const block = encodeBlock([{ ...sample, cause: 'change' }], {
      streamId,
      firstSequence: sequence,
      dictionaryHash: header.dictionaryHash,
      sealedMonotonicUs: 0,
    });
    sequence = lastSequence(block.header) + 1;
    written += block.bytes.length;
    return block;
  });
  await ring.append(blocks);
}
process.kill(process.pid, 'SIGKILL');
