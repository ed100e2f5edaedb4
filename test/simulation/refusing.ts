import { type BlockHeader, lastSequence } from '../../src/domain/block/block.ts';
import { readBlock } from '../../src/domain/block/codec.ts';
import { type RangeSet, rangesOf } from '../../src/domain/range-set.ts';
import type { Message } from '../../src/uplink/messages.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Transport } from '../../src/world/transport.ts';
import { sayingTo } from './saying.ts';

/** Of the envelope of a block, behind its magic; the CRC does not cover it. */
const VERSION_AT = 2;
const LATER_VERSION = 99;

/**
 * What a Kernel dials some Kernels with that are older: some of the blocks that it gives are of a format that
 * these do not know. So they refuse them by themselves, by their own rules. `null`: such a Kernel takes all.
 */
export function refusing(
  transport: Transport,
  refusedBy: (to: string) => ((block: BlockHeader) => boolean) | null,
): Transport {
  return sayingTo(transport, ({ host }) => () => {
    const isRefused = refusedBy(host);
    if (isRefused === null) return null;
    return (message) => {
      if (message.type !== 'block' || !isRefused(readBlock(message.bytes).header)) return message;
      return asOfLater(message);
    };
  });
}

function asOfLater(message: Extract<Message, { type: 'block' }>): Message {
  const bytes = Uint8Array.from(message.bytes);
  bytes[VERSION_AT] = LATER_VERSION;
  return { ...message, bytes };
}

/** Which blocks are refused, by chance, and which were. */
export class RefusedNumbers {
  readonly #random: SimulatedRandom;
  readonly #ofStreams = new Map<string, RangeSet>();

  constructor(random: SimulatedRandom) {
    this.#random = random;
  }

  /** Whether a Kernel refuses one more block, that refuses such a share; `null`: it takes all. */
  by(share: number): ((block: BlockHeader) => boolean) | null {
    return share === 0 ? null : (header) => this.#refuses(share, header);
  }

  #refuses(share: number, header: BlockHeader): boolean {
    if (!this.#random.chance(share)) return false;
    rangesOf(this.#ofStreams, header.streamId).add({
      first: header.firstSequence,
      last: lastSequence(header),
    });
    return true;
  }

  /** Some Kernel refused all of these numbers. */
  holds(streamId: string, first: number, last: number): boolean {
    return this.#ofStreams.get(streamId)?.holds({ first, last }) === true;
  }
}
