import type { Backlog, BacklogState } from '../buffer/backlog.ts';
import type { Poison } from '../buffer/poison.ts';
import type { UplinkSettings } from '../config/model.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import type { ClockExchange } from '../domain/clock-exchange.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Channel } from './channel.ts';
import { Flight } from './flight.ts';
import { LIVE_VALUES_MAX } from './limits.ts';
import type { LiveTable } from './live-table.ts';
import type { BlockRange, Heartbeat, Message, Nack, StreamCoverage, StreamState } from './messages.ts';
import { Refusals } from './refusals.ts';

/** Bytes asked from the backlog at a time at most. */
const READ_BYTES_MAX = 1024 * 1024;
/** With more than this waiting on the control connection nothing is added to the live lane. */
const LIVE_QUEUED_BYTES_MAX = 64 * 1024;
const LIVE_VALUES_PER_FRAME = Math.min(1000, LIVE_VALUES_MAX);

/** A store of the agent, as the uplink sees it. */
export interface UplinkSource {
  readonly backlog: Backlog;
  readonly live: LiveTable;
  /** Where blocks go that the Kernel refuses; without it they are a gap only. */
  readonly poison?: Poison;
  readonly dictionaryHash: string;
  /** The running stream. */
  readonly streamId: string;
  /** Highest sequence that the running stream gave out. */
  readonly producedTo: () => number;
}

/** The clean end of a stream. */
export interface StreamEnd {
  readonly streamId: string;
  readonly lastSequence: number;
  readonly endedAtUs: number;
}

export interface SessionOptions {
  readonly control: Channel;
  readonly data: Channel;
  /** The most urgent first: what it has goes before what the others have. */
  readonly sources: readonly UplinkSource[];
  readonly streamStates: () => StreamState[];
  /** What the Kernel had when it welcomed. */
  readonly coverage: readonly StreamCoverage[];
  readonly settings: UplinkSettings;
  readonly clock: Clock;
  /** Takes what a heartbeat and its echo say of the Kernel's clock. */
  readonly kernelClock?: (exchange: ClockExchange) => void;
  readonly log: Log;
}

/**
 * One session with a Kernel after the handshake. Four things go on side by side: reading each lane, sending
 * blocks, and the beat of heartbeats and live values. The first that fails ends all.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #flight = new Flight();
  readonly #refusals: Refusals;
  readonly #sentDictionaries = new Set<string>();
  /** Dictionaries that the ring does not give; a Kernel that had them before can do without. */
  readonly #lostDictionaries = new Set<string>();
  /** Those of them that the Kernel does not have either: no block that uses them can be read again. */
  readonly #unknownDictionaries = new Set<string>();
  readonly #sentGaps = new Set<string>();
  /** Streams that the Kernel was told of when the session began. */
  readonly #named: ReadonlySet<string>;
  readonly #ended = Promise.withResolvers<never>();
  #acked: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();
  #isOver = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#refusals = new Refusals(options);
    this.#named = new Set(options.streamStates().map(({ streamId }) => streamId));
    this.#ended.promise.catch(() => {
      // Whoever waits for the session sees it; nobody may be waiting yet.
    });
  }

  /**
   * Runs until the session ends. @throws KomError that says why it ended; the signal's reason when aborted
   */
  async run(signal: AbortSignal): Promise<never> {
    const { control, data, sources, clock, settings } = this.#options;
    for (const { live, backlog } of sources) {
      live.markAllChanged();
      backlog.linkUp();
    }
    const stop = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const beat = clock.repeat('heartbeat', settings.heartbeatMs, () => this.#beat());
    const liveBeat = clock.repeat('live lane', settings.liveIntervalMs, () => this.#sendLive());
    const parts = [this.#readControl(), this.#readData(), this.#sendBacklog()];
    for (const part of parts) part.catch((error: unknown) => this.#ended.reject(error));
    try {
      this.#beat();
      return await this.#ended.promise;
    } finally {
      this.#isOver = true;
      signal.removeEventListener('abort', stop);
      beat.cancel();
      liveBeat.cancel();
      for (const { backlog } of sources) backlog.linkDown();
      if (signal.aborted) {
        data.bye('stopping', 'the agent stops');
        control.bye('stopping', 'the agent stops');
      } else {
        data.destroy();
        control.destroy();
      }
      this.#acked.resolve();
      await Promise.allSettled(signal.aborted ? [] : parts);
    }
  }

  /** Sends the clean end of a running stream. @throws KomError KOM_CONNECTION_LOST */
  async sendStreamEnd(end: StreamEnd): Promise<void> {
    await this.#options.data.send({ type: 'streamEnd', ...end });
  }

  #beat(): void {
    const { control, data, settings, streamStates, clock, sources } = this.#options;
    const silentMs = Math.max(control.silentMs, data.silentMs);
    if (silentMs > settings.silenceMaxMs) {
      this.#ended.reject(
        new KomError('KOM_CONNECTION_TIMEOUT', `the Kernel was silent for ${Math.round(silentMs)} ms`),
      );
      return;
    }
    const wallUs = clock.wallUs();
    const streams = streamStates().map((stream) => ({ ...stream, previous: null }));
    if (streams.some(({ streamId }) => !this.#named.has(streamId))) {
      // The store opened late and tells of the runs before only now; a chain is told in a Hello.
      this.#ended.reject(new KomError('KOM_CONNECTION_LOST', 'the chain of streams is known only now'));
      return;
    }
    this.#sendControl({
      type: 'heartbeat',
      heartbeat: {
        ...{ wallUs, streams, observedUntilUs: wallUs, uplinkState: stateOf(sources) },
        ...{ receivedBytes: 0, isPartial: false, monotonicUs: monotonicUs(clock) },
      },
    });
  }

  /** While the archive lane is behind, what changed goes ahead of it; otherwise the blocks bring it. */
  #sendLive(): void {
    for (const source of this.#options.sources) {
      if (source.backlog.state === 'online') source.live.clearChanged();
      else this.#sendLiveOf(source);
    }
  }

  /** A slow link gets fewer, newer values: what waits here is conflated, what is queued there is not. */
  #sendLiveOf({ live, streamId, dictionaryHash }: UplinkSource): void {
    while (this.#options.control.queuedBytes < LIVE_QUEUED_BYTES_MAX) {
      const values = live.take(LIVE_VALUES_PER_FRAME);
      if (values.length === 0) return;
      this.#sendControl({ type: 'live', live: { streamId, dictionaryHash, values } });
    }
  }

  #sendControl(message: Message): void {
    this.#options.control.send(message).catch((error: unknown) => this.#ended.reject(error));
  }

  async #readControl(): Promise<void> {
    while (true) {
      const message = await this.#options.control.receive();
      if (message === null) throw closed('control');
      if (message.type === 'bye') throw refused(message.reason, message.text);
      if (message.type !== 'heartbeat') throw unexpected(message.type);
      this.#learnClock(message.heartbeat);
    }
  }

  #learnClock({ echo, wallUs: kernelSentUs }: Heartbeat): void {
    const { kernelClock, clock } = this.#options;
    if (echo === undefined) return;
    const { monotonicUs: sentUs, receivedUs: kernelReceivedUs } = echo;
    kernelClock?.({ sentUs, receivedUs: monotonicUs(clock), kernelReceivedUs, kernelSentUs });
  }

  async #readData(): Promise<void> {
    while (true) {
      const message = await this.#options.data.receive();
      if (message === null) throw closed('data');
      if (message.type === 'ack') this.#onAck(message.coverage, message.archived);
      else if (message.type === 'nack') await this.#onNack(message.nack);
      else if (message.type === 'heartbeat') continue;
      else if (message.type === 'needDictionary') this.#onNeedDictionary(message.hash);
      else if (message.type === 'bye') throw refused(message.reason, message.text);
      else throw unexpected(message.type);
    }
  }

  #onAck(coverage: readonly StreamCoverage[], archived: readonly BlockRange[] = []): void {
    this.#refusals.archived(archived);
    this.#flight.acknowledged(coverage, this.#options.clock.monotonicMs());
    for (const { streamId, throughSequence } of coverage) {
      for (const { backlog } of this.#options.sources) backlog.acknowledge(streamId, throughSequence);
    }
    this.#acked.resolve();
    this.#acked = Promise.withResolvers<void>();
  }

  async #onNack(nack: Nack): Promise<void> {
    await this.#refusals.refused(nack);
    this.#resend();
  }

  #onNeedDictionary(hash: string): void {
    this.#options.log.warn({ dictionary: hash }, 'the Kernel does not have a dictionary');
    if (this.#lostDictionaries.has(hash)) this.#unknownDictionaries.add(hash);
    this.#sentDictionaries.delete(hash);
    this.#resend();
  }

  #resend(): void {
    this.#flight.clear();
    for (const { backlog } of this.#options.sources) backlog.rewind();
    this.#acked.resolve();
    this.#acked = Promise.withResolvers<void>();
  }

  async #sendBacklog(): Promise<void> {
    const { sources, coverage } = this.#options;
    for (const { backlog } of sources) {
      for (const gap of coverage.flatMap((each) => backlog.regressed(each))) {
        await this.#sendAgain(gap, backlog);
      }
    }
    while (!this.#isOver) {
      const acked = this.#acked.promise;
      const more = sources.map(({ backlog }) => backlog.more());
      await this.#sendGaps();
      const roomBytes = this.#flight.roomBytes;
      if (roomBytes === 0) await acked;
      else if (!(await this.#sendNext(Math.min(roomBytes, READ_BYTES_MAX)))) {
        await Promise.race([...more, acked]);
      }
    }
  }

  /** What the Kernel lost since it acknowledged it: the ring may still hold it, and the rest is a gap. */
  async #sendAgain(gap: SequenceGap, backlog: Backlog): Promise<void> {
    const { streamId, firstSequence, lastSequence: last } = gap;
    this.#options.log.warn({ streamId, firstSequence, last }, 'the Kernel lost what it had acknowledged');
    for (let first = firstSequence; first <= last && !this.#isOver; ) {
      const acked = this.#acked.promise;
      const roomBytes = this.#flight.roomBytes;
      if (roomBytes === 0) {
        await acked;
        continue;
      }
      const blocks = await backlog.recorded(streamId, { first, last }, Math.min(roomBytes, READ_BYTES_MAX));
      for (const block of blocks) await this.#sendBlock(block, backlog);
      const end = blocks.at(-1)?.header;
      first = end === undefined ? last + 1 : lastSequence(end) + 1;
    }
    await this.#options.data.send({ type: 'gap', gap });
  }

  /** Sends what the most urgent source has; false if none has anything. */
  async #sendNext(limitBytes: number): Promise<boolean> {
    for (const source of this.#options.sources) {
      const blocks = await source.backlog.next(limitBytes);
      for (const block of blocks) {
        if (this.#isOver) return true;
        await this.#sendBlock(block, source.backlog);
      }
      if (blocks.length > 0) return true;
    }
    return false;
  }

  async #sendBlock(block: Block, backlog: Backlog): Promise<void> {
    const { streamId, dictionaryHash } = block.header;
    if (this.#unknownDictionaries.has(dictionaryHash)) return await backlog.reject(block.header, 'corrupt');
    await this.#sendDictionary(dictionaryHash, backlog);
    const sentMs = this.#options.clock.monotonicMs();
    this.#flight.sent({
      streamId,
      lastSequence: lastSequence(block.header),
      bytes: block.bytes.length,
      sentMs,
    });
    await this.#options.data.send({ type: 'block', bytes: block.bytes, ...backlog.offers.manner(block) });
  }

  async #sendGaps(): Promise<void> {
    for (const gap of this.#options.sources.flatMap(({ backlog }) => backlog.gaps())) {
      const key = `${gap.streamId}/${gap.firstSequence}/${gap.lastSequence}`;
      if (this.#sentGaps.has(key)) continue;
      this.#sentGaps.add(key);
      await this.#options.data.send({ type: 'gap', gap });
    }
  }

  async #sendDictionary(hash: string, backlog: Backlog): Promise<void> {
    if (this.#sentDictionaries.has(hash)) return;
    const content = await backlog.dictionary(hash);
    this.#sentDictionaries.add(hash);
    if (content === undefined) {
      this.#options.log.error({ dictionary: hash }, 'a dictionary is lost; the Kernel may still have it');
      this.#lostDictionaries.add(hash);
      return;
    }
    await this.#options.data.send({ type: 'dictionary', hash, content });
  }
}

/** The state of the whole uplink: that of the source which is furthest behind. */
function stateOf(sources: readonly UplinkSource[]): BacklogState {
  const states = sources.map(({ backlog }) => backlog.state);
  return (
    states.find((state) => state === 'outage') ?? states.find((state) => state === 'catch-up') ?? 'online'
  );
}

function monotonicUs(clock: Clock): number {
  return Math.floor(clock.monotonicMs() * 1000);
}

function closed(lane: string): KomError {
  return new KomError('KOM_CONNECTION_LOST', `the Kernel closed the ${lane} connection`);
}

function refused(reason: string, text: string): KomError {
  if (reason === 'replaced') {
    return new KomError(
      'KOM_ALREADY_RUNNING',
      'the Kernel has a newer session of this process and instance',
      {
        hint: 'two agents run with the same process and instance; stop one of them',
      },
    );
  }
  return new KomError('KOM_CONNECTION_REFUSED', `the Kernel said goodbye: ${reason}, ${text}`);
}

function unexpected(type: string): KomError {
  return new KomError('KOM_PROTOCOL_STATE', `the Kernel sent ${describeError(type)} on the wrong lane`);
}
