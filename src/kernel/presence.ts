import { type DecodedBlock, lastSequence } from '../domain/block/block.ts';
import { isSampleAt } from '../domain/block/codec.ts';
import { type Coverage, contiguousEnd } from '../domain/coverage.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { type Observed, observedAfter } from '../domain/observed.ts';
import { isUsable, Quality } from '../domain/quality.ts';
import { NO_TERM, type Term } from '../domain/term.ts';
import type { Heartbeat, Live, StreamState, UplinkState } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import { type PresentValue, PresentValues } from './present-values.ts';
import { type ProducedClaim, ProducedClaims } from './produced-claims.ts';
import { SettledNumbers, type Unresolved, unresolvedRanges } from './unresolved.ts';

export type { PresentValue } from './present-values.ts';

/** An agent that is silent for this long leaves its values as "last usable". */
const SILENCE_MS = 3000;

/** A block that is in the archive now. */
interface BlockArrival {
  readonly dictionary: Dictionary;
  /** Integer µs. */
  readonly receivedAtUs: number;
}

/** How it goes with a process, or with one instance of it. */
export interface PresenceStatus {
  readonly isConnected: boolean;
  readonly silentMs: number;
  readonly uplinkState: UplinkState;
  readonly streams: readonly StreamState[];
}

/** What the sessions of one instance tell of it. */
export class InstancePresence {
  readonly instance: number;
  readonly #process: ProcessPresence;
  readonly #clock: Clock;
  #streams: readonly StreamState[] = [];
  #mirrored: readonly StreamState[] = [];
  #heardMs = Number.NEGATIVE_INFINITY;
  #uplinkState: UplinkState = 'outage';
  #isConnected = false;
  /** By stream that ran when the session began: the first number that was not given yet. */
  #presentFrom: ReadonlyMap<string, number> = new Map();
  #standbyUs: number | null = null;
  #term: Term = NO_TERM;
  readonly #settled: SettledNumbers;

  constructor(instance: number, process: ProcessPresence, clock: Clock) {
    this.instance = instance;
    this.#process = process;
    this.#clock = clock;
    this.#settled = new SettledNumbers(clock);
  }

  get status(): PresenceStatus {
    return {
      isConnected: this.#isConnected,
      silentMs: this.#clock.monotonicMs() - this.#heardMs,
      uplinkState: this.#uplinkState,
      streams: [...this.#streams, ...this.#mirrored],
    };
  }

  /** Until when it observed, integer µs, if it stands by; `null`: it observes. */
  get standbyUs(): number | null {
    return this.#standbyUs;
  }

  get isSilent(): boolean {
    return !this.#isConnected || this.status.silentMs > SILENCE_MS;
  }

  /** A control connection greeted with these streams, oldest first. */
  connected(streams: readonly StreamState[]): void {
    this.#isConnected = true;
    this.#standbyUs = null;
    // Until it says more it may have a backlog.
    this.#uplinkState = 'outage';
    this.#streams = streams;
    this.#mirrored = [];
    for (const { streamId, ownerInstance } of streams) {
      this.#process.named(streamId, ownerInstance ?? this.instance);
    }
    const running = streams.filter((stream) => stream.running);
    this.#presentFrom = new Map(running.map(({ streamId, producedTo }) => [streamId, producedTo + 1]));
    this.#process.runs(this.instance, new Set(this.#presentFrom.keys()));
    this.#heard();
  }

  /** It holds these for another instance. */
  mirrors(streams: readonly StreamState[]): void {
    this.#mirrored = streams;
    for (const { streamId, ownerInstance } of streams) {
      if (ownerInstance !== undefined) this.#process.named(streamId, ownerInstance);
    }
  }

  disconnected(): void {
    this.#isConnected = false;
    this.#mirrored = [];
  }

  /** Up to here a stream of its own was given out some time ago; 0 if nothing is known. */
  settledThrough(streamId: string): number {
    return this.#settled.through(streamId);
  }

  /** The term under which it says it is active, or was last; within the limits of terms. */
  claimed(term: Term): void {
    this.#heard();
    this.#term = term;
    this.#process.knowsTerm(term);
  }

  heartbeat(heartbeat: Heartbeat): void {
    this.#heard();
    this.#streams = heartbeat.isPartial ? merged(this.#streams, heartbeat.streams) : heartbeat.streams;
    this.#settled.note(this.#streams);
    this.#uplinkState = heartbeat.uplinkState;
    const { observedUntilUs: untilUs, wallUs } = heartbeat;
    this.#standbyUs = untilUs < wallUs ? untilUs : null;
    for (const { streamId, producedTo } of heartbeat.streams) {
      if (this.#presentFrom.has(streamId)) this.#process.claim({ streamId, producedTo, untilUs });
    }
    if (this.#uplinkState !== 'online') return;
    for (const streamId of this.#presentFrom.keys()) this.#process.caughtUp(streamId);
  }

  /** `isAsked`: somebody wanted it once more. */
  archived(
    block: DecodedBlock,
    { dictionary, receivedAtUs, isAsked = false }: BlockArrival & { readonly isAsked?: boolean },
  ): void {
    this.#heard();
    const { streamId } = block.header;
    const untilUs = stampedUntilUs(block);
    if (untilUs !== null) {
      // Of a stream that is over, or that another instance holds, no heartbeat tells it.
      const producedTo = lastSequence(block.header);
      const earliestUs = Math.min(untilUs, receivedAtUs);
      this.#process.claimAtLeast({ streamId, producedTo, untilUs: earliestUs, atLeast: true });
    }
    // What an earlier run numbered, or another instance, tells of the past only.
    const presentFrom = this.#presentFrom.get(streamId);
    if (presentFrom === undefined || isAsked) return;
    this.#process.archived(block, { dictionary, receivedAtUs, presentFrom });
  }

  live(live: Live, dictionary: Dictionary, receivedAtUs: number): void {
    this.#heard();
    if (!this.#process.isOvershadowed(this.instance)) {
      this.#process.live(live, { dictionary, receivedAtUs, term: this.#term });
    }
  }

  /** Any message of the agent. */
  #heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }
}

/**
 * What the Kernel knows of one process of a site besides the archive: which instances are there, which has
 * the lease, and the present values.
 */
export class ProcessPresence {
  readonly site: string;
  readonly process: string;
  readonly #clock: Clock;
  readonly #values = new PresentValues();
  readonly #instances = new Map<number, InstancePresence>();
  /** 0: nobody has, or asks for, the lease. */
  #holder = 0;
  #highestTerm: Term = NO_TERM;
  readonly #claims = new ProducedClaims();
  readonly #observed = new Map<string, Observed>();

  constructor(site: string, process: string, clock: Clock) {
    this.site = site;
    this.process = process;
    this.#clock = clock;
  }

  instance(number: number): InstancePresence {
    const known = this.#instances.get(number);
    if (known !== undefined) return known;
    const presence = new InstancePresence(number, this, this.#clock);
    this.#instances.set(number, presence);
    return presence;
  }

  /** In the order of their numbers. */
  instances(): InstancePresence[] {
    return [...this.#instances.values()].sort((left, right) => left.instance - right.instance);
  }

  /** The lease went to an instance. */
  granted({ holder, term }: { readonly holder: number; readonly term: Term }): void {
    this.#holder = holder;
    this.knowsTerm(term);
  }

  knowsTerm(term: Term): void {
    this.#highestTerm = Math.max(this.#highestTerm, term);
  }

  named(streamId: string, owner: number): void {
    this.#values.name(streamId, owner);
  }

  /** Another instance has the lease and is there: what this one says of the present does not count. */
  isOvershadowed(instance: number): boolean {
    if (this.#holder === 0 || this.#holder === instance) return false;
    return this.#instances.get(this.#holder)?.status.isConnected === true;
  }

  /** What a session says of now. */
  claim(claim: ProducedClaim): void {
    this.#claims.note(claim);
  }

  /** As `claim`, of a stream of which nothing that says as much is known. */
  claimAtLeast(claim: ProducedClaim): void {
    this.#claims.noteAtLeast(claim);
  }

  /** The highest number of a stream that was said to be given; 0: none that the archive lacks. */
  heardThrough(streamId: string): number {
    return this.#claims.through(streamId);
  }

  /**
   * The archive's coverage of a stream grew: claims that it reaches become how far the stream is observed.
   * What the agent said last counts, also when it is less: then its clock was set back.
   */
  covered(streamId: string, coverage: Coverage): void {
    const reached = this.#claims.takeReached(streamId, contiguousEnd(coverage));
    for (const { producedTo: _, ...said } of reached) this.#said(said);
  }

  #said(said: Observed): void {
    const { streamId } = said;
    const known = this.#observed.get(streamId);
    const untilUs = known === undefined ? said.untilUs : observedAfter(known.untilUs, said);
    if (untilUs === known?.untilUs && known.atLeast === said.atLeast) return;
    this.#observed.set(streamId, { ...(said.atLeast === true ? (known ?? said) : said), untilUs });
  }

  /** How far each stream is known to be complete, by stream id. */
  get observed(): ReadonlyMap<string, Observed> {
    return this.#observed;
  }

  /** How far a stream is known to be complete, integer µs, given what the archive has of it. */
  observedUntilUs(streamId: string, storedUs: number): number {
    const known = this.#observed.get(streamId);
    return known === undefined ? storedUs : observedAfter(storedUs, known);
  }

  /**
   * Numbers that were given and are neither archived nor declared nor held, as of the last heartbeats. What a
   * mirror holds is held.
   */
  async unresolved(coverageOf: (streamId: string) => Promise<Coverage>): Promise<Unresolved[]> {
    const { site, process } = this;
    const named = this.instances().flatMap((of) => of.status.streams.map((stream) => ({ of, stream })));
    const own = named.filter(({ stream }) => stream.ownerInstance === undefined);
    const found = own.map(async ({ of, stream: { streamId } }) => {
      const held = named.flatMap(({ stream }) => (stream.streamId === streamId ? stream.held : []));
      const through = of.settledThrough(streamId);
      const ranges = unresolvedRanges(through, { held, coverage: await coverageOf(streamId) });
      return ranges.map((range): Unresolved => ({ site, process, streamId, ...range }));
    });
    return (await Promise.all(found)).flat();
  }

  runs(instance: number, running: ReadonlySet<string>): void {
    this.#values.runs(instance, running);
  }

  caughtUp(streamId: string): void {
    this.#values.caughtUp(streamId);
  }

  archived(block: DecodedBlock, arrival: BlockArrival & { readonly presentFrom: number }): void {
    // A block says by itself under which term it was made; nobody was told of higher ones than are known.
    const term = Math.min(block.header.term ?? NO_TERM, this.#highestTerm);
    this.#values.takeBlock(block, { ...arrival, term });
  }

  live(
    live: Live,
    arrival: { readonly dictionary: Dictionary; readonly receivedAtUs: number; readonly term: Term },
  ): void {
    this.#values.takeLive(live, arrival);
  }

  /**
   * The present values. They are marked as last usable ones when the instance that has the lease is silent;
   * where nobody asks for a lease, when all are.
   */
  values(): PresentValue[] {
    const holder = this.#instances.get(this.#holder);
    const isSilent = holder?.isSilent ?? this.instances().every((each) => each.isSilent);
    return [...this.#values.all()].map(({ tag, value, quality, sourceTimeUs, receivedAtUs }) => ({
      tag,
      value,
      quality: isSilent && isUsable(quality) ? Quality.uncertainLastUsableValue : quality,
      sourceTimeUs,
      receivedAtUs,
    }));
  }

  /** Of all instances: connected if one is, with the uplink of the one that matters. */
  get status(): PresenceStatus {
    const all = this.instances().map(({ instance, status }) => ({ instance, ...status }));
    const connected = all.filter(({ isConnected }) => isConnected);
    const speaking = connected.length > 0 ? connected : all;
    const chosen = speaking.find(({ instance }) => instance === this.#holder) ?? speaking[0];
    return {
      isConnected: connected.length > 0,
      silentMs: Math.min(...all.map(({ silentMs }) => silentMs)),
      uplinkState: chosen?.uplinkState ?? 'outage',
      streams: unitedStreams(speaking.map(({ streams }) => streams)),
    };
  }
}

/** Streams that were not named are as they were. */
function merged(known: readonly StreamState[], changed: readonly StreamState[]): StreamState[] {
  const byId = new Map(changed.map((stream) => [stream.streamId, stream]));
  return known.map((stream) => byId.get(stream.streamId) ?? stream);
}

/** What the owner of a stream says of it outweighs what its mirror says. */
function unitedStreams(named: readonly (readonly StreamState[])[]): StreamState[] {
  const byId = new Map<string, StreamState>();
  for (const stream of named.flat()) {
    if (!byId.has(stream.streamId) || stream.ownerInstance === undefined) byId.set(stream.streamId, stream);
  }
  return [...byId.values()];
}

/** All processes that this Kernel has heard of since it started. */
export class Presence {
  readonly #clock: Clock;
  readonly #processes = new Map<string, ProcessPresence>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(site: string, process: string): ProcessPresence {
    const key = `${site}\n${process}`;
    const known = this.#processes.get(key);
    if (known !== undefined) return known;
    const presence = new ProcessPresence(site, process, this.#clock);
    this.#processes.set(key, presence);
    return presence;
  }

  all(): ProcessPresence[] {
    return [...this.#processes.values()];
  }
}

/**
 * The agent's time at the last sample of a block that it stamped itself, integer µs: what it had observed by
 * then has no higher number. `null`: it stamped none.
 */
function stampedUntilUs(block: DecodedBlock): number | null {
  for (let at = block.header.count - 1; at >= 0; at--) {
    const timeUs = block.sourceTimesUs[at] as number;
    if (isSampleAt(block, at) && block.deviceTimesUs.get(at) !== timeUs) return timeUs;
  }
  return null;
}
