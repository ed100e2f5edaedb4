import type { ForwardedBlock } from '../../buffer/forward-segment.ts';
import type { Block } from '../../domain/block/block.ts';
import type { SequenceRange } from '../../domain/coverage.ts';
import type { Message } from '../../uplink/messages.ts';
import type { Given } from './given.ts';
import type { GiverOptions } from './giver-options.ts';
import type { Gave, OpenPort } from './open-port.ts';
import type { Refill } from './refill.ts';
import { SentDictionaries } from './sent-dictionaries.ts';

/** Bytes read from the ring at a time. */
const READ_BYTES_MAX = 256 * 1024;

export interface BlockCarrierOptions extends Pick<GiverOptions, 'archive' | 'ring' | 'clock'> {
  readonly given: Given;
  readonly refill: Refill;
}

/** Gives blocks, each behind the dictionary that it needs: as they came, or made again of rows. */
export class BlockCarrier {
  readonly #options: BlockCarrierOptions;
  readonly dictionaries: SentDictionaries;

  constructor(options: BlockCarrierOptions) {
    this.#options = options;
    this.dictionaries = new SentDictionaries(options.archive);
  }

  /** Some of what the ring holds. */
  async held(
    port: OpenPort,
    streamId: string,
    { range, isPast }: { readonly range: SequenceRange; readonly isPast: boolean },
  ): Promise<Gave> {
    const { given, ring, clock } = this.#options;
    if (port.roomBytes <= 0 || given.isFull) return 'no room';
    const blocks = await ring.read(streamId, range, READ_BYTES_MAX);
    for (const block of blocks) {
      if (!(await this.#giveDictionary(port, block))) return 'no room';
      if (!port.give(forwarded(block, clock.wallUs()))) return 'no room';
      given.block(block, isPast);
    }
    return blocks.length > 0 ? 'some' : 'nothing';
  }

  /** Some of what only the archive has. */
  async madeAgain(port: OpenPort, streamId: string, range: SequenceRange): Promise<Gave> {
    const { given, refill } = this.#options;
    if (port.roomBytes <= 0 || given.isFull || refill.isFull) return 'no room';
    const made = await refill.blocks(streamId, range, port.roomBytes);
    for (const each of made) {
      const { block, isReplayed } = each;
      if (!port.isOpen || refill.isFull) return 'no room';
      if (!(await this.#giveDictionary(port, block))) return 'no room';
      const message = { type: 'block', bytes: block.bytes, fromArchive: true } as const;
      if (!port.give(isReplayed ? { ...message, replayed: true } : message)) return 'no room';
      given.block(block, false);
      refill.given(each);
    }
    return 'some';
  }

  /** False: there is no room for it now; or the block came into the ring and not into the archive. */
  async #giveDictionary(port: OpenPort, { header }: Block): Promise<boolean> {
    return await this.dictionaries.give(header.dictionaryHash, (message) => port.give(message));
  }
}

/** Where the ring does not know how it came, the taker goes by its age. */
function forwarded({ bytes, header, isReplayed }: ForwardedBlock, nowUs: number): Message {
  if (isReplayed === undefined) return { type: 'block', bytes, ageUs: Math.max(1, nowUs - header.toUs) };
  return isReplayed ? { type: 'block', bytes, replayed: true } : { type: 'block', bytes };
}
