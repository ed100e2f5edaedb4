import type { Block } from '../domain/block/block.ts';
import { lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { OPEN_END } from '../domain/gap.ts';
import { RangeSet } from '../domain/range-set.ts';
import type { BlockStore, UplinkMirror } from '../uplink/block-source.ts';
import type { StreamCoverage, StreamState } from '../uplink/messages.ts';
import type { HeldMirror, MirrorHold } from './mirror-hold.ts';

/** What a mirror needs to be delivered. */
export interface MirrorSourceOptions {
  readonly hold: MirrorHold;
  /** A Kernel has everything of a stream up to a number. */
  readonly relay: (streamId: string, throughSequence: number) => void;
}

/**
 * Gives out what is held of the other instance, of those streams that the Kernel wants from here, the oldest
 * first. It declares nothing and knows nothing better than their owner: a block that the Kernel refuses is
 * no longer offered.
 */
export class MirrorSource implements UplinkMirror, BlockStore {
  readonly offers = { manner: () => ({}) };
  readonly #options: MirrorSourceOptions;
  #granted: readonly string[] = [];
  /** Given out since the last rewind. */
  readonly #given = new Map<string, RangeSet>();
  /** Refused by a Kernel in this run, by stream. */
  readonly #refused = new Map<string, RangeSet>();
  #more: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();

  constructor(options: MirrorSourceOptions) {
    this.#options = options;
  }

  get backlog(): BlockStore {
    return this;
  }

  /** Streams that are delivered from here. */
  get deliversFor(): readonly string[] {
    return this.#granted;
  }

  get state(): 'catch-up' | 'online' {
    return this.#next() === undefined ? 'online' : 'catch-up';
  }

  streams(): StreamState[] {
    return this.#options.hold
      .streams()
      .filter(({ held }) => held.length > 0)
      .map(stateOf);
  }

  granted(streamIds: readonly string[]): void {
    this.#granted = streamIds;
    this.#wake();
  }

  archivedCoverage(coverage: readonly StreamCoverage[]): void {
    this.#options.hold.forget(coverage);
  }

  async next(limitBytes: number): Promise<Block[]> {
    for (let range = this.#next(); range !== undefined; range = this.#next()) {
      const { streamId } = range;
      const granted = this.#granted;
      const blocks = await this.#options.hold.read(streamId, range, limitBytes);
      // Asked for something else meanwhile, maybe in another session: what is next is for that one.
      if (granted !== this.#granted) return [];
      if (blocks.length === 0) {
        // It does not read now; another session tries again.
        add(this.#given, streamId, range);
        continue;
      }
      let { first } = range;
      for (const { header } of blocks) {
        add(this.#given, streamId, { first, last: lastSequence(header) });
        first = lastSequence(header) + 1;
      }
      return blocks;
    }
    return [];
  }

  more(): Promise<void> {
    return Promise.race([this.#more.promise, this.#options.hold.more()]);
  }

  rewind(): void {
    this.#given.clear();
    this.#wake();
  }

  linkUp(): void {
    this.granted([]);
    this.rewind();
  }

  trustLink(): void {
    // What is delivered from here is held either way.
  }

  linkDown(): void {
    this.granted([]);
  }

  acknowledge(streamId: string, throughSequence: number): void {
    if (this.owns(streamId)) this.#options.relay(streamId, throughSequence);
  }

  archived(): void {
    // It never asks for a confirmation.
  }

  owns(streamId: string): boolean {
    return this.#granted.includes(streamId) || this.#given.has(streamId);
  }

  gaps(): [] {
    return [];
  }

  regressed(): [] {
    return [];
  }

  recorded(streamId: string, range: SequenceRange, limitBytes: number): Promise<Block[]> {
    return this.#options.hold.read(streamId, range, limitBytes);
  }

  async firstBehind(streamId: string, sequence: number): Promise<Block | undefined> {
    return (await this.recorded(streamId, { first: sequence + 1, last: OPEN_END }, 1))[0];
  }

  async find(streamId: string, range: SequenceRange): Promise<Block | undefined> {
    return (await this.recorded(streamId, range, 1))[0];
  }

  dictionary(hash: string): Promise<Uint8Array | undefined> {
    return this.#options.hold.dictionary(hash);
  }

  /** For its owner to declare, which is told the same when it delivers it. */
  async reject({
    streamId,
    firstSequence: first,
    count,
  }: Parameters<BlockStore['reject']>[0]): Promise<void> {
    add(this.#refused, streamId, { first, last: first + count - 1 });
  }

  /** The first numbers that are held, wanted, and not given out. */
  #next(): (SequenceRange & { readonly streamId: string }) | undefined {
    for (const streamId of this.#granted) {
      const [range] = this.#options.hold
        .held(streamId)
        .flatMap((each) => this.#given.get(streamId)?.missing(each) ?? [each])
        .flatMap((each) => this.#refused.get(streamId)?.missing(each) ?? [each]);
      if (range !== undefined) return { ...range, streamId };
    }
    return undefined;
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }
}

function add(sets: Map<string, RangeSet>, streamId: string, range: SequenceRange): void {
  const known = sets.get(streamId);
  if (known === undefined) sets.set(streamId, new RangeSet([range]));
  else known.add(range);
}

function stateOf({ stream, held, heldFromUs }: HeldMirror): StreamState {
  const { info, ownerInstance, endedAtUs, producedTo } = stream;
  const last = Math.max(producedTo, held.at(-1)?.last ?? 0);
  return { ...info, held, heldFromUs, producedTo: last, endedAtUs, running: false, ownerInstance };
}
