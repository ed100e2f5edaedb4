import type { Coverage } from '../domain/coverage.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { Mark } from '../domain/marks.ts';
import type { Observed } from '../domain/observed.ts';
import type { Channel } from '../uplink/channel.ts';
import { GAP_MEMORY_BYTES, RANGES_MAX } from '../uplink/limits.ts';
import type { BlockRange, Message, Nack } from '../uplink/messages.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { decode, rangeOf, takeIn } from './block-intake.ts';
import { behindObserved, settledCoverage } from './chain.ts';
import type { DictionaryShelf } from './dictionary-shelf.ts';
import type { Contribution, Ingest } from './ingest.ts';
import type { LaneGate } from './lane-gate.ts';
import { type Patience, withPatience } from './patience.ts';
import type { InstancePresence, ProcessPresence } from './presence.ts';
import { GapPace, type SessionQuota } from './quotas.ts';
import { toldCoverage } from './told-coverage.ts';

/**
 * Bytes taken from one agent and not yet committed; then the lane is not read, which is the back-pressure.
 * A decoded sample counts, not its share of the block: two transactions of the archive are on their way at
 * most, and a backlog that arrives at once holds up neither the memory nor the live values.
 */
const UNCOMMITTED_BYTES_MAX = 32 * 1024 * 1024;
const DECODED_SAMPLE_BYTES = 64;

export interface DataLaneOptions {
  readonly channel: Channel;
  readonly archive: Archive;
  readonly dictionaries: DictionaryShelf;
  readonly ingest: Ingest;
  readonly presence: ProcessPresence;
  /** Who sends. */
  readonly instance: InstancePresence;
  readonly site: string;
  readonly process: string;
  /** Streams that the agent may send. */
  readonly streamIds: ReadonlySet<string>;
  /** Those of them that its Hello named as streams of its own, and not as predecessors only. */
  readonly namedIds: ReadonlySet<string>;
  /** Those of them that the agent made: of these it may tell what is lost, and where they end. */
  readonly ownIds: ReadonlySet<string>;
  /** Those of them that were running at its Hello. */
  readonly runningIds: ReadonlySet<string>;
  /** It is mirrored for another instance: blocks of it may be sent, and nothing else. */
  readonly isMirrored: (streamId: string) => boolean;
  /** It is one of another process that has a session now. */
  readonly isForeign: (streamId: string) => boolean;
  /** What of a coverage is not only here, and may be acknowledged. */
  readonly acknowledgeable: (streamId: string, coverage: Coverage) => Coverage;
  /** Closed: what the agent sends waits. */
  readonly gate: LaneGate;
  readonly quota: SessionQuota;
  /** A dictionary came: live values may have waited for it. */
  readonly named: (hash: string, dictionary: Dictionary) => void;
  readonly clock: Clock;
  readonly log: Log;
}

type BlockMessage = Extract<Message, { type: 'block' }>;

/** What a contribution is about, for its acknowledgement. */
interface About {
  readonly streamId: string;
  /** Called when it is durable. */
  readonly archived?: () => void;
  /** To be named in the Ack. */
  readonly confirm?: BlockRange;
}

/** The Kernel's end of a data lane: blocks and gaps in, acknowledgements out. */
export class DataLane {
  readonly #options: DataLaneOptions;
  readonly #gapPace: GapPace;
  /** By stream, what this lane has told the archive. */
  readonly #observedSaid = new Map<string, Observed>();
  /** Streams of which something was acknowledged, or could not be yet. */
  readonly #told = new Set<string>();
  #uncommittedBytes = 0;
  #room: { promise: Promise<void>; resolve: () => void } | null = null;
  #failed: unknown = null;

  constructor(options: DataLaneOptions) {
    this.#options = options;
    this.#gapPace = new GapPace(options.clock);
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
      const { gate } = this.#options;
      if (gate.isClosed) await gate.passed();
      await this.#take(message);
    }
  }

  async #take(message: Message): Promise<void> {
    switch (message.type) {
      case 'block':
        return await this.#takeBlock(message);
      case 'gap':
        await this.#gapPace.one();
        if (!this.#isTellers(message.gap.streamId))
          return this.#commit({ bytes: GAP_MEMORY_BYTES }, message.gap);
        return this.#commit(
          { gaps: [await this.#bounded(message.gap)], bytes: GAP_MEMORY_BYTES },
          message.gap,
        );
      case 'heartbeat':
        // It only measures how long a small message takes; that it was read is reported like all else.
        return;
      case 'dictionary':
        return await this.#takeDictionary(message.hash, message.content);
      case 'streamEnd': {
        const { streamId, lastSequence: last, endedAtUs } = message;
        const ended = this.#isTellers(streamId) ? [{ streamId, lastSequence: last, atUs: endedAtUs }] : [];
        return this.#commit({ ended, bytes: GAP_MEMORY_BYTES }, { streamId });
      }
      default:
        throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} on the data lane`);
    }
  }

  async #takeBlock(message: BlockMessage): Promise<void> {
    const { bytes } = message;
    const taken = takeIn(bytes);
    if ('nack' in taken) return await this.#refuse(taken.nack);
    const { block } = taken;
    const { streamId, dictionaryHash } = block.header;
    const isMirrored = this.#isMirrored(streamId);
    if (!isMirrored) this.#checkStream(streamId);
    if (!this.#options.ownIds.has(streamId) && this.#options.isForeign(streamId)) {
      const text = 'another process has a session with this stream';
      return await this.#refuse({ ...rangeOf(block), reason: 'forbidden', text });
    }
    const dictionary = await this.#dictionary(dictionaryHash);
    if (dictionary === undefined) {
      await this.#options.channel.send({ type: 'needDictionary', hash: dictionaryHash });
      return;
    }
    const decoded = decode(block, dictionary);
    if ('nack' in decoded) return await this.#refuse(decoded.nack);
    const { clock, instance } = this.#options;
    const repair = message.repair === true ? { repair: true as const } : {};
    const isAsked = message.repair === true || message.confirm === true;
    const archived = (): void =>
      instance.archived(decoded.block, { dictionary, receivedAtUs: clock.wallUs(), isAsked });
    // What comes while the agent catches up was held back, and tells of the past.
    const isPresent = !isMirrored && !isAsked && instance.status.uplinkState === 'online';
    const marks = isPresent ? 0 : Mark.replayed;
    const { term } = decoded.block.header;
    this.#commit(
      {
        blocks: [
          { block: decoded.block, dictionary, marks, ...repair, ...(term === undefined ? {} : { term }) },
        ],
        raw: [{ ...block, isReplayed: !isPresent }],
        ...this.#observed(streamId),
        bytes: bytes.length,
      },
      { streamId, archived, ...(message.confirm === true ? { confirm: rangeOf(block) } : {}) },
    );
  }

  async #refuse(nack: Nack): Promise<void> {
    if (!this.#isMirrored(nack.streamId)) this.#checkStream(nack.streamId);
    this.#options.log.error({ ...nack }, 'a block is refused');
    await this.#options.channel.send({ type: 'nack', nack });
  }

  async #takeDictionary(hash: string, content: Uint8Array): Promise<void> {
    const dictionary = decodeDictionary(hash, content);
    const { site, process, dictionaries, named, log, quota } = this.#options;
    if (dictionary.site !== site || dictionary.process !== process) {
      // A backlog from before the site was renamed: what it tells keeps the name that it was told by.
      const former = `${dictionary.site}/${dictionary.process}`;
      log.warn({ site, process, former }, 'a backlog under a former name of the site');
    }
    if ((await this.#dictionary(hash)) === undefined) quota.newDictionary(content.length);
    named(hash, dictionary);
    await dictionaries.put({ hash, content, dictionary }, this.#patience);
  }

  #dictionary(hash: string): Promise<Dictionary | undefined> {
    return withPatience(() => this.#options.dictionaries.get(hash), this.#patience);
  }

  /** Meanwhile the lane is not read, which is the back-pressure; a lane that is broken waits for nothing. */
  get #patience(): Patience {
    const { channel, clock, log } = this.#options;
    return {
      clock,
      isOver: () => channel.isDestroyed,
      refused: ({ message: error }) => log.debug({ error }, 'a dictionary waits for the archive'),
    };
  }

  /** The agent cannot know how far back this Kernel's archive goes, which was restored from a backup. */
  async #bounded(gap: SequenceGap): Promise<SequenceGap> {
    if (gap.reason !== 'kernel-regressed') return gap;
    const { archive, presence, site, process } = this.#options;
    const streams = await withPatience(() => archive.streams(site, process), this.#patience);
    const stored = streams.find(({ streamId }) => streamId === gap.streamId)?.observedUntilUs ?? 0;
    return behindObserved(gap, presence.observedUntilUs(gap.streamId, stored));
  }

  /** How far a stream is observed, if that is news to the archive. */
  #observed(streamId: string): Pick<Contribution, 'observed'> {
    const said = this.#options.presence.observed.get(streamId);
    if (said === undefined || said === this.#observedSaid.get(streamId)) return {};
    this.#observedSaid.set(streamId, said);
    return { observed: [said] };
  }

  #isMirrored(streamId: string): boolean {
    const { streamIds, isMirrored } = this.#options;
    return !streamIds.has(streamId) && isMirrored(streamId);
  }

  /**
   * Only who made a stream tells what became of it. What another one says of it changes nothing: it may have
   * been that instance before somebody changed the site file. @throws KomError KOM_PROTOCOL_STATE
   */
  #isTellers(streamId: string): boolean {
    const { ownIds, namedIds, log } = this.#options;
    if (!namedIds.has(streamId)) {
      throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was not named in the Hello as its own`);
    }
    if (ownIds.has(streamId)) return true;
    log.warn({ streamId }, 'what an agent says of the stream of another one is not believed');
    return false;
  }

  #checkStream(streamId: string): void {
    if (this.#options.streamIds.has(streamId)) return;
    throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was not named in the Hello`);
  }

  /** Hands a contribution to the archive and acknowledges when it is durable; does not wait for that. */
  #commit(contribution: Contribution, about: About): void {
    const bytes = memoryBytes(contribution);
    this.#uncommittedBytes += bytes;
    const done = this.#options.ingest.commit(contribution).then(async () => {
      about.archived?.();
      await this.#acknowledge(about);
    });
    done
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#options.log.debug({ error: describeError(error) }, 'a data lane ends');
        this.#options.channel.destroy();
      })
      .finally(() => {
        this.#uncommittedBytes -= bytes;
        this.#room?.resolve();
        this.#room = null;
      });
  }

  async #acknowledge({ streamId, confirm }: About): Promise<void> {
    this.#told.add(streamId);
    const { archive, presence, channel, runningIds } = this.#options;
    const isOpen = runningIds.has(streamId) || this.#isMirrored(streamId);
    const archived = settledCoverage(await archive.coverage(streamId), isOpen);
    presence.covered(streamId, archived);
    const coverage = this.#options.acknowledgeable(streamId, archived);
    await channel.send({
      type: 'ack',
      coverage: toldCoverage([{ streamId, coverage }], RANGES_MAX),
      ...(confirm === undefined ? {} : { archived: [confirm] }),
    });
  }

  /** Other Kernels have more of these streams now; `null`: of all. */
  acknowledgeAgain(streamIds: readonly string[] | null): void {
    const { streamIds: own, log } = this.#options;
    const named = streamIds ?? [...this.#told];
    for (const streamId of named.filter((each) => own.has(each) || this.#isMirrored(each))) {
      this.#acknowledge({ streamId }).catch((error: unknown) => {
        log.debug({ error: describeError(error) }, 'an acknowledgement found nobody');
      });
    }
  }

  #untilRoom(): Promise<void> {
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }
}

function memoryBytes({ bytes, blocks = [] }: Contribution): number {
  const samples = blocks.reduce((count, { block }) => count + block.header.count, 0);
  return Math.max(bytes, samples * DECODED_SAMPLE_BYTES);
}
