import type { Block } from '../../domain/block/block.ts';
import { decodeDictionary } from '../../domain/dictionary-codec.ts';
import { describeError, KomError } from '../../domain/errors.ts';
import { Mark } from '../../domain/marks.ts';
import { counterOf, NO_TERM } from '../../domain/term.ts';
import { checkedCounter, GAP_MEMORY_BYTES } from '../../uplink/limits.ts';
import type { ForwardedTerm, ForwardStream, Message } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { beliedEnd } from '../belied-end.ts';
import { decode, takeIn } from '../block-intake.ts';
import type { DictionaryShelf } from '../dictionary-shelf.ts';
import type { Contribution, Ingest } from '../ingest.ts';
import { type Patience, withPatience } from '../patience.ts';
import type { Presence } from '../presence.ts';

/** What is older than this when it comes was held back somewhere, and tells of the past. */
const REPLAYED_AFTER_US = 10_000_000;

type BlockMessage = Extract<Message, { type: 'block' }>;

export interface TakerOptions {
  readonly archive: Pick<Archive, 'coverage' | 'terms' | 'raiseTerm'>;
  readonly ingest: Pick<Ingest, 'commit'>;
  readonly dictionaries: DictionaryShelf;
  readonly presence: Presence;
  /** Who gives is hot: what it says of ages is by the clock that the values have. */
  readonly isFromHot: () => boolean;
  readonly answer: (message: Message) => void;
  /** Another Kernel granted these; they are in this archive, where that has none that is higher. */
  readonly heardTerms: (terms: readonly ForwardedTerm[]) => void;
  /** What came cannot be taken: the connection ends. */
  readonly failed: (error: unknown) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The receiving end of what another Kernel gives: into the archive, and the coverage back. The giver sees to
 * it that not too much is on its way.
 */
export class Taker {
  readonly #options: TakerOptions;
  readonly #processOf = new Map<string, { readonly site: string; readonly process: string }>();
  /** Dictionaries and streams are durable before what uses them: one message after the other. */
  #turn: Promise<void> = Promise.resolve();
  readonly #toTell = new Set<string>();
  #isTelling = false;
  #isOver = false;

  constructor(options: TakerOptions) {
    this.#options = options;
  }

  take(message: Message): void {
    this.#turn = this.#turn
      .then(() => this.#take(message))
      .catch((error: unknown) => {
        this.#isOver = true;
        this.#options.failed(error);
      });
  }

  /** The connection is over: nobody waits for what the archive does not take. */
  close(): void {
    this.#isOver = true;
  }

  async #take(message: Message): Promise<void> {
    if (this.#isOver) return;
    switch (message.type) {
      case 'forwardStreams':
        return await this.#takeStreams(message.streams);
      case 'dictionary':
        return await this.#takeDictionary(message.hash, message.content);
      case 'block':
        return await this.#takeBlock(message);
      case 'gap':
        this.#checkStream(message.gap.streamId);
        return this.#commit(message.gap.streamId, {
          ...{ gaps: [message.gap], isForwarded: true },
          bytes: GAP_MEMORY_BYTES,
        });
      case 'forwardTerms':
        return await this.#takeTerms(message.terms);
      default:
        throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} from another Kernel`);
    }
  }

  async #takeStreams(streams: readonly ForwardStream[]): Promise<void> {
    const ended = streams.flatMap(({ streamId, ended }) => (ended === null ? [] : [{ streamId, ...ended }]));
    const known = streams.map(
      ({ observedUntilUs: _, observedSequence: __, ended: ___, ...stream }) => stream,
    );
    await this.#options.ingest.commit({ streams: known, ended, bytes: 64 * streams.length });
    for (const { streamId, site, process, instance, observedUntilUs, observedSequence } of streams) {
      this.#processOf.set(streamId, { site, process });
      const presence = this.#options.presence.of(site, process);
      presence.instance(instance);
      presence.named(streamId, instance);
      if (observedUntilUs === 0) continue;
      // Whoever tells it may have heard it long ago, and this Kernel more since.
      const claim = { streamId, producedTo: observedSequence, untilUs: observedUntilUs };
      presence.claimAtLeast({ ...claim, atLeast: true });
    }
    for (const stream of streams) await this.#declareBelied(stream);
    this.#tell(streams.map(({ streamId }) => streamId));
  }

  /** Of a stream that is said to have ended this Kernel may have heard more than who was told that. */
  async #declareBelied(stream: ForwardStream): Promise<void> {
    const { archive, presence, ingest } = this.#options;
    if (stream.previous === null || !stream.previous.endedCleanly) return;
    const { streamId, lastDurableSequence } = stream.previous;
    const process = presence.of(stream.site, stream.process);
    const heardThrough = process.heardThrough(streamId);
    if (heardThrough <= lastDurableSequence) return;
    const coverage = await withPatience(() => archive.coverage(streamId), this.#patience);
    const known = { coverage, heardThrough, observedUntilUs: process.observedUntilUs(streamId, 0) };
    const gap = beliedEnd(stream, known);
    if (gap !== null) await ingest.commit({ gaps: [gap], bytes: GAP_MEMORY_BYTES });
  }

  async #takeDictionary(hash: string, content: Uint8Array): Promise<void> {
    const dictionary = decodeDictionary(hash, content);
    await this.#options.dictionaries.put({ hash, content, dictionary }, this.#patience);
  }

  async #takeBlock({ bytes, fromArchive, replayed, ageUs }: BlockMessage): Promise<void> {
    const { dictionaries, answer } = this.#options;
    const taken = takeIn(bytes);
    if ('nack' in taken) return answer({ type: 'nack', nack: taken.nack });
    const { block } = taken;
    const { streamId, dictionaryHash, term } = block.header;
    this.#checkStream(streamId);
    const dictionary = await withPatience(() => dictionaries.get(dictionaryHash), this.#patience);
    if (dictionary === undefined) return answer({ type: 'needDictionary', hash: dictionaryHash });
    const decoded = decode(block, dictionary);
    if ('nack' in decoded) return answer({ type: 'nack', nack: decoded.nack });
    const isReplayed = ageUs === undefined ? replayed === true : this.#isOld(block, ageUs);
    const marks = isReplayed ? Mark.replayed : 0;
    const row = { block: decoded.block, dictionary, marks, ...(term === undefined ? {} : { term }) };
    // The ring is for what came last: a block that was made of rows can be made of them again.
    const raw = fromArchive === true ? [] : [{ ...block, isReplayed }];
    this.#commit(streamId, { blocks: [row], raw, bytes: bytes.length });
  }

  /** Who gives does not know how it came. By the clock of the hot one, which is that of the values. */
  #isOld({ header }: Block, saidUs: number): boolean {
    const { clock, isFromHot } = this.#options;
    return (isFromHot() ? saidUs : clock.wallUs() - header.toUs) > REPLAYED_AFTER_US;
  }

  /** Durable when it is answered. */
  async #takeTerms(terms: readonly ForwardedTerm[]): Promise<void> {
    const { archive, answer, heardTerms } = this.#options;
    const stored = await withPatience(() => archive.terms(), this.#patience);
    const last = new Map(stored.map((each) => [`${each.site}\n${each.process}`, each.term]));
    for (const term of terms) {
      const known = last.get(`${term.site}\n${term.process}`) ?? NO_TERM;
      checkedCounter(`term of ${term.site}/${term.process}`, counterOf(term.term), counterOf(known));
      if (term.term > known) await withPatience(() => archive.raiseTerm(term), this.#patience);
    }
    heardTerms(terms);
    answer({ type: 'forwardTerms', terms });
  }

  #checkStream(streamId: string): void {
    if (this.#processOf.has(streamId)) return;
    throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was not named`);
  }

  get #patience(): Patience {
    const { clock, log } = this.#options;
    return {
      clock,
      isOver: () => this.#isOver,
      refused: ({ message: error }) =>
        log.debug({ error }, 'what another Kernel gives waits for the archive'),
    };
  }

  /** Does not wait until it is durable. */
  #commit(streamId: string, contribution: Contribution): void {
    this.#options.ingest
      .commit(contribution)
      .then(() => this.#tell([streamId]))
      .catch((error: unknown) => {
        this.#isOver = true;
        this.#options.failed(error);
      });
  }

  /** What the archive has of some streams goes back, of several transactions at once. */
  #tell(streamIds: readonly string[]): void {
    for (const streamId of streamIds) this.#toTell.add(streamId);
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#tellAll()
      .catch((error: unknown) => {
        this.#options.log.debug({ error: describeError(error) }, 'another Kernel is not told what is here');
        this.#options.failed(error);
      })
      .finally(() => {
        this.#isTelling = false;
      });
  }

  async #tellAll(): Promise<void> {
    const { archive, presence, answer } = this.#options;
    while (this.#toTell.size > 0 && !this.#isOver) {
      const streamIds = [...this.#toTell];
      this.#toTell.clear();
      const streams = [];
      for (const streamId of streamIds) {
        const coverage = await archive.coverage(streamId);
        const origin = this.#processOf.get(streamId);
        if (origin !== undefined) presence.of(origin.site, origin.process).covered(streamId, coverage);
        streams.push({ streamId, coverage });
      }
      answer({ type: 'forwardCoverage', streams });
    }
  }
}
