import modbusSerial from 'modbus-serial';
import type { ModbusChannel, ModbusLine } from '../../config/model.ts';
import { describeError, KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';
import { formatAddress } from '../../world/transport.ts';
import { dataBytes, LateAnswers, type ReadRequest } from './doubt.ts';
import { BusListener } from './listening.ts';

/** What became of a request. `garbled`: bytes came that are no answer to it. */
export type Outcome =
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'exception'; readonly code: number }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'garbled'; readonly reason: string };

/** Time for opening a channel. */
const CONNECT_TIMEOUT_MS = 5000;
/** Transaction numbers run up to this before they are used again; 0 is left out. */
const TRANSACTION_ID_MAX = 0xffff;
/** An RTU answer that is this many response time-outs late is taken for lost. */
const LATE_ANSWER_TIMEOUTS = 20;
/** Pause after bytes that made no sense on an RTU channel, so that their rest is not taken for an answer. */
const GARBLED_PAUSE_MS = 50;
/** Silence between RTU frames above 19,200 Bd (Modbus over Serial Line V1.02, 2.5.1.1). */
const SILENT_INTERVAL_MIN_MS = 1.75;

type Client = InstanceType<typeof modbusSerial.default>;

/**
 * What is used of the library beyond its declared interface: its port numbers transactions modulo 256, so
 * that a late answer could meet a later request of the same number, and keeps unread RTU bytes for the next.
 */
interface LibraryPort {
  /** The serial port or socket below, where every byte passes. */
  readonly _client?: { on(event: 'data', listener: (bytes: Uint8Array) => void): unknown };
  _transactionIdWrite: number;
  _buffer?: Uint8Array;
  on(event: 'error', listener: () => void): unknown;
}

/** An open channel of a line: one request at a time, reads only. */
export class Channel {
  readonly #client: Client;
  readonly #port: LibraryPort;
  readonly #transactions: Record<number, unknown>;
  readonly #line: ModbusLine;
  readonly #clock: Clock;
  readonly #lateAnswers: LateAnswers | null;
  readonly #gapMs: number;
  #transactionId = 0;
  #idleSinceMs = 0;
  #lost: KomError | null = null;
  #abandon: ((reason: KomError) => void) | null = null;
  #onLost: (() => void) | null = null;
  #onBytes: ((bytes: Uint8Array) => void) | null = null;

  constructor(client: Client, line: ModbusLine, clock: Clock) {
    this.#client = client;
    this.#port = Reflect.get(client, '_port');
    this.#transactions = Reflect.get(client, '_transactions');
    this.#line = line;
    this.#clock = clock;
    const isRtu = line.channel.kind !== 'tcp';
    this.#lateAnswers = isRtu ? new LateAnswers(LATE_ANSWER_TIMEOUTS * line.responseTimeoutMs) : null;
    this.#gapMs = Math.max(line.requestGapMs, silentIntervalMs(line.channel));
    this.#port.on('error', () => {});
    this.#port._client?.on('data', (bytes) => this.#onBytes?.(bytes));
    client.on('close', () => this.#lose(unreachable(line, 'the channel was closed by the other side')));
    client.setTimeout(line.responseTimeoutMs);
  }

  /**
   * Asks once. On RTU channels a unit that left a request unanswered is first asked for a marker, see
   * `LateAnswers`; if that gets no answer, neither does the request.
   * @throws KomError KOM_DEVICE_UNREACHABLE when the channel is lost
   */
  async read(request: ReadRequest): Promise<Outcome> {
    const marker = this.#lateAnswers?.markerFor(request, this.#clock.monotonicMs()) ?? null;
    if (marker !== null) {
      const outcome = await this.#transact(marker);
      if (outcome.kind === 'timeout' || outcome.kind === 'garbled') return outcome;
      this.#lateAnswers?.resolved(request.unit);
    }
    return this.#transact(request);
  }

  /**
   * Asks nothing for so long, and counts the requests that somebody else asks on the bus. RTU only.
   * @throws KomError KOM_DEVICE_UNREACHABLE when the channel is lost; the signal's reason
   */
  async listen(ms: number, signal: AbortSignal): Promise<number> {
    const bus = new BusListener();
    this.#onBytes = (bytes) => bus.heard(bytes);
    try {
      await this.#clock.sleep(ms, signal);
    } finally {
      this.#onBytes = null;
    }
    if (this.#lost !== null) throw this.#lost;
    return bus.requests;
  }

  /** Nothing is asked any more, from this call on; it is not closed yet. */
  halt(): void {
    this.#lose(unreachable(this.#line, 'the line is given up'));
  }

  /** Calls once when the channel is lost; for a link that asks nothing and so would not notice. */
  whenLost(told: (reason: KomError) => void): void {
    this.#onLost = () => {
      if (this.#lost !== null) told(this.#lost);
    };
  }

  /** Closes the channel; a request under way fails. Idempotent. */
  async close(): Promise<void> {
    this.#lose(unreachable(this.#line, 'the channel was closed'));
    await closeClient(this.#client, this.#line.channel);
  }

  async #transact(request: ReadRequest): Promise<Outcome> {
    const pauseMs = this.#idleSinceMs + this.#gapMs - this.#clock.monotonicMs();
    if (pauseMs > 0) await this.#clock.sleep(pauseMs);
    if (this.#lost !== null) throw this.#lost;
    this.#prepare();
    const transactionId = this.#port._transactionIdWrite;
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      this.#abandon = reject;
      ask(this.#client, request).then(
        ({ buffer }) => resolve(checked(request, buffer)),
        (error: unknown) => resolve(outcomeOf(error)),
      );
    });
    this.#abandon = null;
    delete this.#transactions[transactionId];
    this.#idleSinceMs = this.#clock.monotonicMs();
    if (!this.#client.isOpen) this.#lose(unreachable(this.#line, 'the channel is broken'));
    if (this.#lost !== null) throw this.#lost;
    if (this.#lateAnswers !== null && (outcome.kind === 'timeout' || outcome.kind === 'garbled')) {
      this.#lateAnswers.unanswered(request, this.#idleSinceMs);
      if (outcome.kind === 'garbled') await this.#clock.sleep(GARBLED_PAUSE_MS);
    }
    return outcome;
  }

  /** Gives the request a number that nothing outstanding has, and forgets bytes of earlier answers. */
  #prepare(): void {
    if (this.#lateAnswers === null) {
      this.#transactionId = (this.#transactionId % TRANSACTION_ID_MAX) + 1;
      this.#port._transactionIdWrite = this.#transactionId;
    } else {
      this.#port._buffer = Buffer.alloc(0);
    }
  }

  #lose(reason: KomError): void {
    const isNews = this.#lost === null;
    this.#lost ??= reason;
    if (isNews) this.#onLost?.();
    this.#abandon?.(this.#lost);
    this.#abandon = null;
  }
}

/**
 * Opens the channel of a line.
 * @throws KomError KOM_DEVICE_UNREACHABLE; the signal's reason when aborted
 */
export async function openChannel(line: ModbusLine, clock: Clock, signal: AbortSignal): Promise<Channel> {
  signal.throwIfAborted();
  const client = new modbusSerial.default();
  client.on('error', () => {});
  const opening = connect(client, line.channel);
  try {
    await withDeadline(opening, clock, signal);
  } catch (error) {
    await closeClient(client, line.channel);
    // A serial port that is still opening cannot be stopped; it is closed when it is open.
    opening.then(
      () => closeClient(client, line.channel),
      () => {},
    );
    signal.throwIfAborted();
    throw unreachable(line, describeError(error), error);
  }
  return new Channel(client, line, clock);
}

function connect(client: Client, channel: ModbusChannel): Promise<void> {
  switch (channel.kind) {
    case 'tcp':
      return client.connectTCP(channel.address.host, { port: channel.address.port });
    case 'rtu-over-tcp':
      // The library's "telnet" port is plain RTU frames over TCP; its "TcpRTUBuffered" has a TCP header.
      return client.connectTelnet(channel.address.host, { port: channel.address.port });
    case 'rtu': {
      const { device, baudRate, parity, dataBits, stopBits } = channel;
      return client.connectRTUBuffered(device, { baudRate, parity, dataBits, stopBits });
    }
  }
}

function ask(client: Client, request: ReadRequest): Promise<{ readonly buffer: Uint8Array }> {
  client.setID(request.unit);
  switch (request.table) {
    case 'coil':
      return client.readCoils(request.address, request.count);
    case 'discrete-input':
      return client.readDiscreteInputs(request.address, request.count);
    case 'holding-register':
      return client.readHoldingRegisters(request.address, request.count);
    case 'input-register':
      return client.readInputRegisters(request.address, request.count);
  }
}

function checked(request: ReadRequest, data: Uint8Array): Outcome {
  const expected = dataBytes(request);
  if (data.length === expected) return { kind: 'data', data };
  return { kind: 'garbled', reason: `${data.length} data bytes instead of ${expected}` };
}

/** The library rejects with errors, and with objects that only look like errors. */
function outcomeOf(error: unknown): Outcome {
  if (typeof error === 'object' && error !== null) {
    if ('modbusCode' in error && typeof error.modbusCode === 'number') {
      return { kind: 'exception', code: error.modbusCode };
    }
    if ('errno' in error && error.errno === 'ETIMEDOUT') return { kind: 'timeout' };
  }
  return { kind: 'garbled', reason: describeError(error) };
}

async function withDeadline(work: Promise<void>, clock: Clock, signal: AbortSignal): Promise<void> {
  const timeout = Promise.withResolvers<never>();
  const onAbort = (): void => timeout.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = clock.schedule('modbus connect', CONNECT_TIMEOUT_MS, () => {
    timeout.reject(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
  });
  try {
    await Promise.race([work, timeout.promise]);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

async function closeClient(client: Client, channel: ModbusChannel): Promise<void> {
  // `destroy` also clears the library's timers; a serial port is closed by `close` alone.
  client.destroy(() => {});
  if (channel.kind !== 'rtu' || !client.isOpen) return;
  await new Promise<void>((resolve) => client.close(() => resolve()));
}

function silentIntervalMs(channel: ModbusChannel): number {
  if (channel.kind !== 'rtu') return 0;
  const bits = 1 + channel.dataBits + (channel.parity === 'none' ? 0 : 1) + channel.stopBits;
  return Math.max(SILENT_INTERVAL_MIN_MS, (3.5 * bits * 1000) / channel.baudRate);
}

function unreachable(line: ModbusLine, got: string, cause?: unknown): KomError {
  const { channel } = line;
  const where = channel.kind === 'rtu' ? channel.device : formatAddress(channel.address);
  return new KomError('KOM_DEVICE_UNREACHABLE', `line ${line.name} at ${where}`, { got, cause });
}
