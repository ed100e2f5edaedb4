import { BLOCK_PREFIX_BYTES } from '../../src/domain/block/block.ts';
import { clockFixAt, decodeBlock, entryAt, isClockFixAt, readBlock } from '../../src/domain/block/codec.ts';
import { crc32c } from '../../src/domain/crc32c.ts';
import { isKomError } from '../../src/domain/errors.ts';
import { decode, takeIn } from '../../src/kernel/block-intake.ts';
import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter, frame } from '../../src/uplink/frame.ts';
import { FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_WELCOME } from '../../src/uplink/limits.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Corpus } from './corpus.ts';
import { mutate, pick } from './mutate.ts';

/** One damaged input for one decoder. Throws only what is a bug. */
export type PureTarget = (corpus: Corpus, random: SimulatedRandom) => void;

const DICTIONARY = { site: 'S', process: 'KomZ', tags: [] };

export const PURE_TARGETS: Readonly<Record<string, PureTarget>> = {
  frames: (corpus, random) => {
    const stream = Buffer.concat([1, 2, 3].map(() => frame(pick(random, corpus.all))));
    const bytes = mutate(stream, random, pick(random, corpus.all));
    const splitter = new FrameSplitter(FRAME_BYTES_MAX_BEFORE_WELCOME);
    operatingErrorsOnly(() => {
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + random.below(200);
        for (const payload of splitter.push(bytes.subarray(at, at + length))) decodeMessage(payload);
        at += length;
      }
    });
  },
  messages: (corpus, random) => {
    const payload = mutate(pick(random, corpus.all), random, pick(random, corpus.all));
    // What is accepted can be said again, and is then the same.
    const message = operatingErrorsOnly(() => decodeMessage(payload));
    if (message === undefined) return;
    const again = new FrameSplitter(FRAME_BYTES_MAX).push(encodeMessage(message))[0] ?? new Uint8Array();
    if (decodeMessage(again).type !== message.type)
      throw new Error(`a message ${message.type} is not the same`);
  },
  blocks: (corpus, random) => {
    const bytes = Uint8Array.from(mutate(pick(random, corpus.blocks), random, pick(random, corpus.blocks)));
    if (bytes.length >= BLOCK_PREFIX_BYTES && random.below(8) > 0) {
      // With its CRC made right the damage gets through to the columns.
      new DataView(bytes.buffer).setUint32(4, crc32c(bytes.subarray(8)), true);
    }
    operatingErrorsOnly(() => {
      const block = readBlock(bytes);
      const decoded = decodeBlock(block);
      for (let at = 0; at < block.header.count; at++) {
        if (isClockFixAt(decoded, at)) clockFixAt(decoded, at);
        else entryAt(decoded, at);
      }
    });
    operatingErrorsOnly(() => {
      const taken = takeIn(bytes);
      if ('block' in taken) decode(taken.block, DICTIONARY);
    });
  },
};

function operatingErrorsOnly<T>(job: () => T): T | undefined {
  try {
    return job();
  } catch (error) {
    if (isKomError(error)) return undefined;
    throw error;
  }
}
