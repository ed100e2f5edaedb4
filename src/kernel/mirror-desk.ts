import type { Coverage } from '../domain/coverage.ts';
import { describeError } from '../domain/errors.ts';
import { RANGES_MAX } from '../uplink/limits.ts';
import type { Hello, Message, StreamState } from '../uplink/messages.ts';
import type { Archive } from '../world/archive.ts';
import type { Log } from '../world/log.ts';
import { type Deliverer, deliveryRights } from './delivery-rights.ts';
import type { Ingest } from './ingest.ts';
import { toldCoverage } from './told-coverage.ts';

/** What nobody can bring any more, or was told never to: a mirror need not hold it. */
const SETTLED: ReadonlySet<string> = new Set(['data', 'rejected', 'dropped']);

export interface MirrorDeskOptions {
  readonly archive: Archive;
  readonly ingest: Pick<Ingest, 'commit'>;
  /** What of a coverage is not only here, and may be forgotten. */
  readonly acknowledgeable: (streamId: string, coverage: Coverage) => Coverage;
  /** A process that has a session now made this stream. */
  readonly isForeign: (streamId: string, hello: Hello) => boolean;
  /** Streams of a process are not mirrored any more: what is missing of them may be lost. */
  readonly unlisted: (hello: Hello) => void;
  /** @throws KomError KOM_LIMIT_EXCEEDED */
  readonly count: (hello: Hello, streams: readonly StreamState[]) => void;
  readonly log: Log;
}

/** A control connection that greeted. */
export interface MirrorHolder {
  readonly sessionId: string;
  readonly hello: Hello;
  readonly send: (message: Message) => Promise<void>;
  /** Told what it mirrors, of what it may. */
  readonly mirrors: (streams: readonly StreamState[]) => void;
}

interface Holder extends MirrorHolder {
  readonly own: ReadonlySet<string>;
  mirrored: ReadonlySet<string>;
  /** Ever listed in this session and known to the archive: blocks of these are taken. */
  readonly accepted: Set<string>;
  told: string;
  /** The list that came last and waits for the one before it. */
  waiting: readonly StreamState[] | null;
  isBusy: boolean;
}

/** Mirrored streams of all connected agents: who lists which, and who is to deliver them. */
export class MirrorDesk {
  readonly #options: MirrorDeskOptions;
  /** In the order in which they connected. */
  readonly #holders = new Map<string, Holder>();
  #rights: ReadonlyMap<string, string> = new Map();

  constructor(options: MirrorDeskOptions) {
    this.#options = options;
  }

  connected(holder: MirrorHolder): void {
    this.#holders.set(holder.sessionId, {
      ...holder,
      own: new Set(holder.hello.streams.map(({ streamId }) => streamId)),
      ...{ mirrored: new Set(), accepted: new Set(), told: '', waiting: null, isBusy: false },
    });
    this.#decide();
  }

  disconnected(sessionId: string): void {
    const holder = this.#holders.get(sessionId);
    if (!this.#holders.delete(sessionId) || holder === undefined) return;
    this.#decide();
    // A session that was replaced may have named what the chain of its instance has no more.
    const isReplaced = [...this.#holders.values()].some(({ hello }) => isSame(hello, holder.hello));
    if (holder.mirrored.size > 0 || isReplaced) this.#options.unlisted(holder.hello);
  }

  /** A holder says what it mirrors now. @throws KomError KOM_LIMIT_EXCEEDED */
  listed(sessionId: string, streams: readonly StreamState[]): void {
    const holder = this.#holders.get(sessionId);
    if (holder === undefined) return;
    this.#options.count(holder.hello, streams);
    holder.waiting = streams;
    if (holder.isBusy) return;
    holder.isBusy = true;
    // An archive that takes nothing must not hold up the heartbeats of this lane.
    this.#take(holder)
      .catch((error: unknown) => {
        this.#options.log.warn({ error: describeError(error) }, 'a list of mirrored streams is passed over');
      })
      .finally(() => {
        holder.isBusy = false;
      });
  }

  /** Somebody who is connected holds some of the stream for its owner. */
  isListed(streamId: string): boolean {
    return [...this.#holders.values()].some(({ mirrored }) => mirrored.has(streamId));
  }

  /** Blocks of the stream are taken from this session, with the right to deliver it or just after that. */
  accepts(sessionId: string, streamId: string): boolean {
    return this.#holders.get(sessionId)?.accepted.has(streamId) ?? false;
  }

  async #take(holder: Holder): Promise<void> {
    const { ingest, archive, unlisted } = this.#options;
    const { hello } = holder;
    const { site, process } = hello;
    while (holder.waiting !== null) {
      const listed = holder.waiting;
      holder.waiting = null;
      const known = new Map((await archive.streams(site, process)).map((each) => [each.streamId, each]));
      const streams = listed.filter((stream) => this.#mayMirror(stream, holder));
      const fresh = streams.filter(({ streamId }) => !known.has(streamId));
      if (fresh.length > 0) {
        const origins = fresh.map(({ streamId, bootId, startedAtUs, previous, ownerInstance = 0 }) => {
          return { streamId, bootId, startedAtUs, previous, site, process, instance: ownerInstance };
        });
        await ingest.commit({ streams: origins, bytes: 64 * fresh.length });
      }
      const now = new Set(streams.map(({ streamId }) => streamId));
      // The chain of an owner that is connected has no hole there.
      const owned = new Set([...this.#holders.values()].flatMap(({ own }) => [...own]));
      const isLess = [...holder.mirrored].some((streamId) => !now.has(streamId) && !owned.has(streamId));
      holder.mirrored = now;
      holder.mirrors(streams);
      for (const streamId of now) holder.accepted.add(streamId);
      await this.#tellCoverage(holder);
      this.#decide();
      if (isLess) unlisted(hello);
    }
  }

  /** Of another instance of the same process, and of no process that is known to be another. */
  #mayMirror({ streamId, ownerInstance }: StreamState, { hello }: Holder): boolean {
    const { instance } = hello;
    const isOther = ownerInstance !== undefined && ownerInstance !== instance;
    const may = isOther && !this.#options.isForeign(streamId, hello);
    if (!may) this.#options.log.warn({ streamId, instance, ownerInstance }, 'not a stream to be mirrored');
    return may;
  }

  /**
   * What the holder may forget. Not what its owner, or a Kernel in its place, gave up for lost: the mirror
   * may be where it still is.
   */
  async #tellCoverage(holder: Holder): Promise<void> {
    const { archive, acknowledgeable } = this.#options;
    const covered = [];
    for (const streamId of holder.mirrored) {
      const coverage = acknowledgeable(streamId, await archive.coverage(streamId));
      covered.push({ streamId, coverage: coverage.filter(({ state }) => SETTLED.has(state)) });
    }
    const told = toldCoverage(covered, RANGES_MAX).filter(isAny);
    if (told.length > 0) await holder.send({ type: 'mirrorAck', coverage: told });
  }

  /** Tells each holder whose rights changed. */
  #decide(): void {
    const deliverers: Deliverer[] = [...this.#holders.values()];
    this.#rights = deliveryRights(deliverers, this.#rights);
    for (const holder of this.#holders.values()) {
      const streamIds = [...this.#rights].flatMap(([id, by]) => (by === holder.sessionId ? [id] : []));
      const told = streamIds.sort().join();
      if (told === holder.told) continue;
      holder.told = told;
      holder.send({ type: 'deliveryRight', streamIds }).catch((error: unknown) => {
        this.#options.log.debug({ error: describeError(error) }, 'a right to deliver found nobody');
      });
    }
  }
}

function isSame(one: Hello, other: Hello): boolean {
  return one.site === other.site && one.process === other.process && one.instance === other.instance;
}

function isAny({ throughSequence, held }: ReturnType<typeof toldCoverage>[number]): boolean {
  return throughSequence > 0 || held.length > 0;
}
