import { type Block, type DecodedBlock, lastSequence } from '../domain/block/block.ts';
import { decodeBlock, isTimeGapAt, readBlock, timeGapAt } from '../domain/block/codec.ts';
import { contiguousEnd, heldBeyond } from '../domain/coverage.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Channel } from '../uplink/channel.ts';
import type { Message } from '../uplink/messages.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Contribution, Ingest } from './ingest.ts';
import type { ProcessPresence } from './presence.ts';

/**
 * Bytes taken from one agent and not yet committed; then the lane is not read, which is the back-pressure.
 */
const UNCOMMITTED_BYTES_MAX = 16 * 1024 * 1024;

export interface DataLaneOptions {
  readonly channel: Channel;
  readonly archive: Archive;
  readonly ingest: Ingest;
  readonly presence: ProcessPresence;
  readonly site: string;
  readonly process: string;
  /** Streams that the agent may send. */
  readonly streamIds: ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The Kernel's end of a data lane: blocks and gaps in, acknowledgements out. */
export class DataLane {
  readonly #options: DataLaneOptions;
  readonly #dictionaries = new Map<string, Dictionary>();
  #uncommittedBytes = 0;
  #room: { promise: Promise<void>; resolve: () => void } | null = null;
  #failed: unknown = null;

  constructor(options: DataLaneOptions) {
    this.#options = options;
  }

  /**
   * Until the agent closes. @throws KomError for what is not of the protocol, and when the connection
   * breaks
   */
  async run(): Promise<void> {
    while (true) {
      while (this.#uncommittedBytes > UNCOMMITTED_BYTES_MAX) await this.#untilRoom();
      const message = await this.#options.channel.receive();
      if (this.#failed !== null) throw this.#failed;
      if (message === null || message.type === 'bye') {
        while (this.#uncommittedBytes > 0) await this.#untilRoom();
        return;
      }
      await this.#take(message);
    }
  }

  async #take(message: Message): Promise<void> {
    switch (message.type) {
      case 'block':
        return await this.#takeBlock(message.bytes);
      case 'gap':
        this.#checkStream(message.gap.streamId);
        return this.#commit({ gaps: [message.gap], bytes: 64 }, message.gap.streamId);
      case 'dictionary':
        return await this.#takeDictionary(message.hash, message.content);
      case 'streamEnd': {
        this.#checkStream(message.streamId);
        const { streamId, lastSequence: last, endedAtUs } = message;
        return this.#commit(
          { ended: [{ streamId, lastSequence: last, atUs: endedAtUs }], bytes: 64 },
          streamId,
        );
      }
      default:
        throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} on the data lane`);
    }
  }

  async #takeBlock(bytes: Uint8Array): Promise<void> {
    const block = readBlock(bytes);
    const { streamId, dictionaryHash } = block.header;
    this.#checkStream(streamId);
    const dictionary = await this.#dictionary(dictionaryHash);
    if (dictionary === undefined) {
      await this.#options.channel.send({ type: 'needDictionary', hash: dictionaryHash });
      return;
    }
    const decoded = await this.#decode(block, dictionary);
    if (decoded === null) return;
    this.#commit({ blocks: [{ block: decoded, dictionary }], bytes: bytes.length }, streamId, () =>
      this.#options.presence.archived(decoded, dictionary, this.#options.clock.wallUs()),
    );
  }

  /** The CRC was right; what does not decode now never will. */
  async #decode(block: Block, dictionary: Dictionary): Promise<DecodedBlock | null> {
    try {
      const decoded = decodeBlock(block);
      checkEntries(decoded, dictionary);
      return decoded;
    } catch (error) {
      if (!isKomError(error, 'KOM_BLOCK_CORRUPT')) throw error;
      const { streamId, firstSequence } = block.header;
      this.#options.log.error({ streamId, firstSequence, error: error.message }, 'a block is undecodable');
      const range = { streamId, firstSequence, lastSequence: lastSequence(block.header) };
      const nack = { ...range, reason: 'undecodable', text: error.message } as const;
      await this.#options.channel.send({ type: 'nack', nack });
      return null;
    }
  }

  async #takeDictionary(hash: string, content: Uint8Array): Promise<void> {
    const dictionary = decodeDictionary(hash, content);
    const { site, process, archive, log } = this.#options;
    if (dictionary.site !== site || dictionary.process !== process) {
      // A backlog from before the site was renamed: what it tells keeps the name that it was told by.
      const former = `${dictionary.site}/${dictionary.process}`;
      log.warn({ site, process, former }, 'a backlog under a former name of the site');
    }
    await archive.putDictionary(hash, content, dictionary);
    this.#dictionaries.set(hash, dictionary);
  }

  async #dictionary(hash: string): Promise<Dictionary | undefined> {
    const known = this.#dictionaries.get(hash) ?? (await this.#options.archive.dictionary(hash));
    if (known !== undefined) this.#dictionaries.set(hash, known);
    return known;
  }

  #checkStream(streamId: string): void {
    if (this.#options.streamIds.has(streamId)) return;
    throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was not named in the Hello`);
  }

  /** Hands a contribution to the archive and acknowledges when it is durable; does not wait for that. */
  #commit(contribution: Contribution, streamId: string, archived: () => void = () => {}): void {
    this.#uncommittedBytes += contribution.bytes;
    const done = this.#options.ingest.commit(contribution).then(async () => {
      archived();
      await this.#acknowledge(streamId);
    });
    done
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#options.log.debug({ error: describeError(error) }, 'a data lane ends');
        this.#options.channel.destroy();
      })
      .finally(() => {
        this.#uncommittedBytes -= contribution.bytes;
        this.#room?.resolve();
        this.#room = null;
      });
  }

  async #acknowledge(streamId: string): Promise<void> {
    const { archive, presence, channel } = this.#options;
    const coverage = await archive.coverage(streamId);
    presence.covered(streamId, coverage);
    const throughSequence = contiguousEnd(coverage);
    await channel.send({
      type: 'ack',
      coverage: [{ streamId, throughSequence, held: heldBeyond(coverage) }],
    });
  }

  #untilRoom(): Promise<void> {
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }
}

/** What only the dictionary can tell: every tag is in it, and every time gap is readable. */
function checkEntries(block: DecodedBlock, dictionary: Dictionary): void {
  for (let at = 0; at < block.header.count; at++) {
    if (isTimeGapAt(block, at)) timeGapAt(block, at);
    else if ((block.tagIndexes[at] as number) >= dictionary.tags.length) {
      throw new KomError('KOM_BLOCK_CORRUPT', 'a tag index is not in the dictionary');
    }
  }
}
