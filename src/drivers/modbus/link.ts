import type { ModbusLine, ModbusTag } from '../../config/model.ts';
import { KomError } from '../../domain/errors.ts';
import { Quality } from '../../domain/quality.ts';
import type { Reading } from '../../domain/sample.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Link, LinkBatch, LinkRole, UnseenInterval } from '../driver.ts';
import type { Channel, Outcome } from './channel.ts';
import { isBusy, isGatewaySilence, isWorthSplitting, qualityOfException } from './exceptions.ts';
import { splitRequest } from './plan.ts';
import { LineSchedule, type Slot } from './schedule.ts';
import { decodeValue } from './values.ts';

/** Batches that wait for the consumer at most; polling pauses while they do. */
const QUEUE_BATCHES_MAX = 256;
/** Polling that comes later than so many scans, and so long besides, left a hole that is declared. */
const LATE_SCANS_MAX = 3;
const LATE_MAX_MS = 3000;
/** Pause before a unit that said it is busy is asked again. */
const BUSY_PAUSE_MS = 50;
/** How often the link sees that it runs, and by how much later it may before the process stood still. */
const STALL_CHECK_MS = 250;
const STALL_MS = 1000;

/** What a link needs of the world. */
export interface LinkWorld {
  readonly clock: Clock;
  readonly log: Log;
}

/** How a line was opened. */
export interface LinkStart {
  readonly role: LinkRole;
  /** Another instance may have polled until now, so the first values are wanted at once. */
  readonly isUrgent: boolean;
  /** When it is aborted nothing is asked any more. */
  readonly signal: AbortSignal;
}

/** The polling of one open line. */
export class ModbusLink implements Link {
  readonly #line: ModbusLine;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #start: LinkStart;
  #role: LinkRole;
  #schedule: LineSchedule;
  readonly #stop = new AbortController();
  readonly #queue: LinkBatch[] = [];
  /** When each request was last asked; what lies between that and the end of a pause was not seen. */
  readonly #lastAsked = new WeakMap<Slot, { readonly ms: number; readonly us: number }>();
  #pauseEndMs = Number.NEGATIVE_INFINITY;
  readonly #stallTimer: Timer;
  #ranMs: number;
  #failure: unknown = null;
  #wakeConsumer: (() => void) | null = null;
  #wakePoller: (() => void) | null = null;
  #polling: Promise<void> | null = null;

  constructor(line: ModbusLine, channel: Channel, { start, ...world }: LinkWorld & { start: LinkStart }) {
    this.#start = start;
    this.#role = start.role;
    this.#line = line;
    this.#channel = channel;
    this.#clock = world.clock;
    this.#log = world.log;
    this.#ranMs = world.clock.monotonicMs();
    this.#schedule = new LineSchedule(line, this.#ranMs, start.isUrgent);
    channel.whenLost((reason) => this.#fail(reason));
    start.signal.addEventListener('abort', this.#halt, { once: true });
    this.#stallTimer = world.clock.repeat('stall check', STALL_CHECK_MS, () => this.#noticeStall());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LinkBatch, void, undefined> {
    this.#polling ??= this.#poll().catch((error: unknown) => this.#fail(error));
    while (true) {
      const batch = this.#queue.shift();
      if (batch !== undefined) {
        this.#wakePoller?.();
        yield batch;
      } else if (this.#stop.signal.aborted) {
        return;
      } else if (this.#failure !== null) {
        throw this.#failure;
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve;
        });
      }
    }
  }

  /** A line that stands by is open and asks nothing. Each time it is active its polling begins anew. */
  async setRole(role: LinkRole): Promise<void> {
    this.#role = role;
    if (role === 'active') this.#schedule = new LineSchedule(this.#line, this.#clock.monotonicMs(), true);
    this.#wakePoller?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#start.signal.removeEventListener('abort', this.#halt);
    this.#stallTimer.cancel();
    this.#halt();
    await this.#channel.close();
    await this.#polling;
  }

  readonly #halt = (): void => {
    this.#stop.abort();
    this.#channel.halt();
    this.#wakePoller?.();
    this.#wakeConsumer?.();
  };

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wakeConsumer?.();
  }

  async #poll(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#role === 'standby') {
        await this.#woken();
        continue;
      }
      if (this.#queue.length >= QUEUE_BATCHES_MAX) {
        await this.#waitForRoom();
        continue;
      }
      const schedule = this.#schedule;
      const next = schedule.next();
      if (next === null) return;
      const waitMs = next.dueMs - this.#clock.monotonicMs();
      if (waitMs > 0) await this.#clock.sleep(waitMs, this.#stop.signal);
      if (this.#role === 'active' && schedule === this.#schedule) await this.#serve(next.slot);
    }
  }

  async #waitForRoom(): Promise<void> {
    this.#log.warn({ line: this.#line.name }, 'polling pauses: nobody takes the values');
    await this.#woken();
    this.#pauseEndMs = this.#clock.monotonicMs();
  }

  async #woken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wakePoller = resolve;
    });
    this.#wakePoller = null;
  }

  /** A process that was stopped, or had no processor, polled nothing meanwhile: that ends as a pause does. */
  #noticeStall(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#ranMs - STALL_CHECK_MS;
    this.#ranMs = nowMs;
    if (lateMs < STALL_MS) return;
    this.#pauseEndMs = nowMs;
    this.#log.warn({ line: this.#line.name, lateMs: Math.round(lateMs) }, 'polling stood still');
  }

  async #serve(slot: Slot): Promise<void> {
    this.#noticeStall();
    const startMs = this.#clock.monotonicMs();
    const missed = this.#schedule.start(slot, startMs);
    const last = this.#lastAsked.get(slot);
    const outcome = await this.#ask(slot);
    this.#noticeStall();
    const at: Moment = { ms: this.#clock.monotonicMs(), us: this.#clock.wallUs() };
    this.#lastAsked.set(slot, at);
    const wasPaused = missed > 0 || startMs < this.#pauseEndMs;
    const hidPause = wasPaused && last !== undefined && last.ms < this.#pauseEndMs;
    const lateMaxMs = LATE_SCANS_MAX * slot.request.scanMs + LATE_MAX_MS;
    const isLate = outcome.kind === 'data' && last !== undefined && at.ms - last.ms > lateMaxMs;
    if (last !== undefined && (hidPause || isLate)) this.#reportUnseen(slot, last, at);
    if (outcome.kind === 'data') {
      this.#noteAnswer(slot, at);
      this.#push(slot, readingsOf(slot, outcome.data, at.us));
    } else if (outcome.kind === 'exception' && !isGatewaySilence(outcome.code)) {
      this.#noteAnswer(slot, at);
      this.#refused(slot, outcome.code, at);
    } else {
      this.#unanswered(slot, outcome, at);
    }
  }

  /** Asks, and asks again while that may help. */
  async #ask(slot: Slot): Promise<Outcome> {
    const { table, address, count } = slot.request;
    for (let tries = this.#schedule.triesFor(slot); ; tries--) {
      const outcome = await this.#channel.read({ unit: slot.station.unit, table, address, count });
      if (outcome.kind === 'data' || tries <= 1) return outcome;
      if (outcome.kind !== 'exception') continue;
      if (isBusy(outcome.code)) await this.#clock.sleep(BUSY_PAUSE_MS, this.#stop.signal);
      else if (!isGatewaySilence(outcome.code)) return outcome;
    }
  }

  #noteAnswer(slot: Slot, at: Moment): void {
    if (!this.#schedule.answered(slot, at.ms)) return;
    this.#log.info({ line: this.#line.name, station: slot.station.name }, 'the unit answers again');
  }

  /** An exception: where fewer registers may be readable the request is split, else its tags are bad. */
  #refused(slot: Slot, code: number, at: Moment): void {
    const halves = isWorthSplitting(code) ? splitRequest(slot.request) : null;
    const { table, address, count } = slot.request;
    const fields = { line: this.#line.name, station: slot.station.name, table, address, count, code };
    if (halves === null) {
      this.#log.debug(fields, 'the unit refused a request');
      this.#push(slot, badReadings(slot.request.tags, qualityOfException(code), at.us));
    } else {
      this.#log.info(fields, 'the unit refused a merged request: it is split');
      this.#schedule.replace(slot, halves, at.ms);
    }
  }

  #unanswered(slot: Slot, outcome: Outcome, at: Moment): void {
    const { station } = slot;
    const fields = { line: this.#line.name, station: station.name, unit: station.unit };
    if (this.#schedule.unanswered(slot, at.ms)) {
      this.#log.warn(fields, 'the unit does not answer: it is only probed from now on');
    }
    if (this.#schedule.isDegraded(slot)) {
      this.#push(slot, badReadings(station.tags, Quality.badNoCommunication, at.us));
    } else {
      this.#push(slot, badReadings(slot.request.tags, qualityOf(outcome), at.us));
    }
    if (!this.#schedule.isSilent()) return;
    throw new KomError('KOM_DEVICE_UNREACHABLE', `line ${this.#line.name}`, {
      got: 'no answer from any unit, so the channel is opened anew',
    });
  }

  #reportUnseen(slot: Slot, from: Moment, to: Moment): void {
    const tagIndexes = slot.request.tags.map((tag) => tag.index);
    this.#push(slot, [], [{ tagIndexes, fromUs: from.us, toUs: to.us, reason: 'overload' }]);
  }

  #push(slot: Slot, readings: readonly Reading[], unseen?: readonly UnseenInterval[]): void {
    const batch = { station: slot.station.name, readings };
    this.#queue.push(unseen === undefined ? batch : { ...batch, unseen });
    this.#wakeConsumer?.();
    this.#wakeConsumer = null;
  }
}

interface Moment {
  /** Monotonic milliseconds. */
  readonly ms: number;
  /** Wall clock, integer µs. */
  readonly us: number;
}

function readingsOf(slot: Slot, data: Uint8Array, atUs: number): Reading[] {
  return slot.request.tags.map((tag) => ({
    tagIndex: tag.index,
    sourceTimeUs: atUs,
    value: decodeValue(tag, slot.request, data),
    quality: Quality.good,
  }));
}

function badReadings(tags: readonly ModbusTag[], quality: number, atUs: number): Reading[] {
  return tags.map((tag) => ({ tagIndex: tag.index, sourceTimeUs: atUs, value: null, quality }));
}

function qualityOf(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'data':
      return Quality.good;
    case 'exception':
      return qualityOfException(outcome.code);
    case 'timeout':
      return Quality.badTimeout;
    case 'garbled':
      return Quality.badCommunicationError;
  }
}
