import type { Backlog } from '../buffer/backlog.ts';
import type { BacklogState } from '../buffer/backlog-stat.ts';
import type { UplinkSettings } from '../config/model.ts';
import type { ClockExchange } from '../domain/clock-exchange.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { LeaseSide } from '../domain/lease.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { BlockSender } from './block-sender.ts';
import type { BlockSource, UplinkMirror } from './block-source.ts';
import type { Channel } from './channel.ts';
import { goodbye } from './ended.ts';
import { LeaseLane } from './lease-lane.ts';
import { LiveSender } from './live-sender.ts';
import type { LiveTable } from './live-table.ts';
import type {
  BlockRange,
  Command,
  CommandResult,
  Heartbeat,
  Message,
  Nack,
  StreamCoverage,
  StreamState,
} from './messages.ts';
import { MirroredStreams } from './mirrored-streams.ts';
import type { SessionPart } from './named-streams.ts';
import { Refusals } from './refusals.ts';
import { type Pace, SilenceWatch, silenceCheckMs } from './silence.ts';
import { StreamChanges } from './stream-changes.ts';

/** A store of the agent, as the uplink sees it. */
export interface UplinkSource extends BlockSource {
  readonly backlog: Backlog;
  readonly live: LiveTable;
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
  /** See UplinkOptions. */
  readonly commands?: (command: Command) => Promise<CommandResult>;
  readonly control: Channel;
  readonly data: Channel;
  /** The most urgent first: what it has goes before what the others have. */
  readonly sources: readonly UplinkSource[];
  /** Blocks of another instance; only where the version that was agreed upon has mirrors. */
  readonly mirror?: UplinkMirror;
  readonly streamStates: () => StreamState[];
  readonly part: SessionPart;
  /** What the Kernel had when it welcomed. */
  readonly coverage: readonly StreamCoverage[];
  /** Dictionaries that it has. */
  readonly knownDictionaries: readonly string[];
  /** What both sides agreed upon. */
  readonly pace: Pace;
  /** For how long the session does not count yet, milliseconds. */
  readonly holdMs: number;
  readonly settings: UplinkSettings;
  readonly clock: Clock;
  /** Claims the lease, where the Kernel gives leases. */
  readonly lease?: LeaseSide | undefined;
  /** Up to when everything that was observed is numbered, integer µs; without it: now. */
  readonly observedUntilUs?: () => number;
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
  /** The own sources, and behind them what is mirrored. */
  readonly #blocks: readonly BlockSource[];
  readonly #sender: BlockSender;
  readonly #refusals: Refusals;
  readonly #live: LiveSender;
  readonly #lease: LeaseLane | null;
  readonly #streams = new StreamChanges();
  readonly #mirrored: MirroredStreams | null = null;
  readonly #silence: SilenceWatch;
  /** Streams that the Kernel was told of when the session began. */
  readonly #named: ReadonlySet<string>;
  readonly #ended = Promise.withResolvers<never>();

  constructor(options: SessionOptions) {
    const { sources: own, mirror } = options;
    this.#options = options;
    this.#blocks = mirror === undefined ? own : [...own, mirror];
    this.#refusals = new Refusals({ ...options, sources: this.#blocks });
    this.#sender = new BlockSender({ ...options, sources: this.#blocks });
    if (mirror !== undefined) {
      const send = (message: Message): void => this.#live.sendOther(message);
      this.#mirrored = new MirroredStreams(mirror, send);
    }
    this.#live = new LiveSender({
      ...options,
      isBlocksFirst: () => this.#sender.isBelowFloor,
      failed: (error) => this.#ended.reject(error),
    });
    this.#lease =
      options.lease === undefined
        ? null
        : new LeaseLane({
            ...{ side: options.lease, clock: options.clock },
            send: (message) => this.#live.sendOther(message),
          });
    this.#silence = new SilenceWatch(options.pace.silenceMaxMs, options.clock.monotonicMs());
    this.#named = new Set(options.streamStates().map(({ streamId }) => streamId));
    this.#ended.promise.catch(() => {
      // Whoever waits for the session sees it; nobody may be waiting yet.
    });
  }

  /** What the link carries, bytes a second; `null` before that is known. */
  get bytesPerS(): number | null {
    return this.#sender.bytesPerS;
  }

  /** The catch-up is slower than the site file asks for. */
  get isBelowMinRate(): boolean {
    return this.#sender.isBelowFloor;
  }

  /**
   * Runs until the session ends. @throws KomError that says why it ended; the signal's reason when aborted
   */
  async run(signal: AbortSignal): Promise<never> {
    const { sources, clock, settings, pace, holdMs } = this.#options;
    for (const { live } of sources) live.markAllChanged();
    for (const { backlog } of this.#blocks) backlog.linkUp({ isTrusted: holdMs === 0 });
    const stop = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const timers = [
      clock.repeat('heartbeat', pace.heartbeatMs, () => this.#beat()),
      clock.repeat('silence check', silenceCheckMs(pace.silenceMaxMs), () => this.#checkSilence()),
      clock.repeat('live lane', settings.liveIntervalMs, () => this.#live.send()),
      clock.schedule('hold', holdMs, () => {
        for (const { backlog } of this.#blocks) backlog.trustLink();
      }),
    ];
    if (this.#lease !== null) {
      timers.push(clock.repeat('lease', settings.leaseRenewMs, () => this.renewLease()));
    }
    const parts = [this.#readControl(), this.#readData(), this.#sender.run()];
    for (const part of parts) part.catch((error: unknown) => this.#ended.reject(error));
    try {
      this.renewLease();
      this.#beat();
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      for (const timer of timers) timer.cancel();
      for (const { backlog } of this.#blocks) backlog.linkDown();
      this.#sender.stop();
      this.#close(signal.aborted);
      await Promise.allSettled(signal.aborted ? [] : parts);
    }
  }

  /** A goodbye gets a moment to leave, with what is on the way before it; a broken connection does not. */
  #close(isPlanned: boolean): void {
    const { control, data } = this.#options;
    for (const channel of [data, control]) {
      if (isPlanned) channel.bye('stopping', 'the agent ends the session');
      else channel.destroy();
    }
  }

  /** Claims the lease, where the Kernel gives leases. */
  renewLease(): void {
    this.#lease?.renew();
  }

  /** Sends the clean end of a running stream. @throws KomError KOM_CONNECTION_LOST */
  async sendStreamEnd(end: StreamEnd): Promise<void> {
    await this.#sender.send({ type: 'streamEnd', ...end });
  }

  #checkSilence(): void {
    const { control, data, clock } = this.#options;
    const silentMs = Math.max(control.silentMs, data.silentMs);
    if (!this.#silence.isDead(clock.monotonicMs(), silentMs)) return;
    this.#ended.reject(
      new KomError('KOM_CONNECTION_TIMEOUT', `the Kernel was silent for ${Math.round(silentMs)} ms`),
    );
  }

  #beat(): void {
    const { streamStates, clock, sources, observedUntilUs } = this.#options;
    const wallUs = clock.wallUs();
    const streams = streamStates().map((stream) => ({ ...stream, previous: null }));
    if (streams.some(({ streamId }) => !this.#named.has(streamId))) {
      // The store opened late and tells of the runs before only now; a chain is told in a Hello.
      this.#ended.reject(new KomError('KOM_CONNECTION_LOST', 'the chain of streams is known only now'));
      return;
    }
    const changes = this.#streams.next(streams);
    this.#live.sendOther({
      type: 'heartbeat',
      heartbeat: {
        ...{
          wallUs,
          ...changes,
          observedUntilUs: observedUntilUs?.() ?? wallUs,
          uplinkState: stateOf(sources),
        },
        ...{ receivedBytes: 0, monotonicUs: monotonicUs(clock) },
      },
    });
    this.#mirrored?.tell();
  }

  async #readControl(): Promise<void> {
    while (true) {
      const message = await this.#options.control.receive();
      if (message === null) throw closed('control');
      if (message.type === 'bye') throw refused(message.reason, message.text);
      if (message.type === 'command') {
        this.#obey(message.command);
        continue;
      }
      if (message.type === 'lease' && this.#lease !== null) {
        this.#lease.answered(message);
        continue;
      }
      if (this.#mirrored?.take(message)) continue;
      if (message.type !== 'heartbeat') throw unexpected(message.type);
      this.#live.arrived(message.heartbeat.receivedBytes);
      this.#learnClock(message.heartbeat);
    }
  }

  /** The answer goes over this session; if it ends first, the Kernel asks again in the next one. */
  #obey(command: Command): void {
    const { commands, control } = this.#options;
    if (commands === undefined) throw unexpected('command');
    commands(command)
      .then((result) => control.send({ type: 'commandResult', result }))
      .catch((error: unknown) => this.#ended.reject(error));
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
      else if (message.type === 'heartbeat') this.#sender.arrived(message.heartbeat.receivedBytes);
      else if (message.type === 'needDictionary') this.#sender.needDictionary(message.hash);
      else if (message.type === 'bye') throw refused(message.reason, message.text);
      else throw unexpected(message.type);
    }
  }

  #onAck(coverage: readonly StreamCoverage[], archived: readonly BlockRange[] = []): void {
    this.#refusals.archived(archived);
    for (const { streamId, firstSequence } of archived) {
      for (const { backlog } of this.#blocks) backlog.archived(streamId, firstSequence);
    }
    for (const { streamId, throughSequence } of coverage) {
      for (const { backlog } of this.#blocks) backlog.acknowledge(streamId, throughSequence);
    }
    this.#sender.acknowledged(coverage);
    this.#mirrored?.acknowledged(coverage);
  }

  async #onNack(nack: Nack): Promise<void> {
    await this.#refusals.refused(nack);
    this.#sender.resend();
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
  return new KomError(
    'KOM_CONNECTION_REFUSED',
    `the Kernel said goodbye: ${reason}, ${text}`,
    goodbye(reason),
  );
}

function unexpected(type: string): KomError {
  return new KomError('KOM_PROTOCOL_STATE', `the Kernel sent ${describeError(type)} on the wrong lane`);
}
