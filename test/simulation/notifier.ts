import type { Reading } from '../../src/domain/sample.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { Life } from './life.ts';
import type { RunRecord, Seen, Station, Way } from './plant.ts';

/** Notifications that a device keeps for a client that does not come. */
const QUEUE_MAX = 40;

export interface NotifierSetup {
  readonly clock: SimulatedClock;
  readonly agent: Way;
  readonly isProducing: () => boolean;
  /** What a station says at a time of its clock, integer µs. */
  readonly readingsOf: (station: Station, timeUs: number) => Reading[];
}

interface Queue {
  readonly notifications: { readonly readings: Reading[]; readonly seen: Seen | null }[];
  overflowed: boolean;
}

/** A server with a bounded queue for each of its stations; it runs on the true time. */
export class Notifier {
  readonly #clock: SimulatedClock;
  readonly #life: Life;
  /** The agent's wall clock, integer µs. */
  readonly #agentUs: () => number;
  readonly #record: RunRecord;
  readonly #failoverMs: number;
  readonly #readingsOf: NotifierSetup['readingsOf'];
  readonly #isProducing: () => boolean;
  readonly #queues = new Map<string, Queue>();

  constructor({ clock, agent, isProducing, readingsOf }: NotifierSetup) {
    this.#readingsOf = readingsOf;
    this.#clock = clock;
    this.#life = agent.life;
    // The clock of a line that another run may take over is for its driver alone: it looks for a stall.
    const agentClock = agent.record.isShared ? agent.life.clock : agent.clock;
    this.#agentUs = () => agentClock.wallUs();
    this.#record = agent.record;
    this.#failoverMs = agent.failoverMs;
    this.#isProducing = isProducing;
  }

  start(stations: readonly Station[]): () => void {
    const timers = stations.map((station) => {
      const notify = () => this.notify(station);
      station.notifiers.add(notify);
      const timer = this.#clock.repeat('device', station.options.periodMs, () => {
        if (this.#life.isDead) stop();
        else if (this.#isProducing() && !station.isUnplugged) {
          station.produce();
          this.notify(station);
        }
      });
      return { timer, forget: () => station.notifiers.delete(notify) };
    });
    const stop = () => {
      for (const { timer, forget } of timers) {
        timer.cancel();
        forget();
      }
    };
    return stop;
  }

  notify(station: Station): void {
    const queue = this.#queueOf(station);
    const timeUs = station.hasClock ? this.#clock.wallUs() + station.clockOffsetUs : -1;
    if (this.#life.isDead) return;
    const at = { wallUs: this.#agentUs(), trueMs: this.#clock.monotonicMs() };
    const seen = station.isUnplugged ? null : { ...at, by: this.#record, isTold: false, isOptional: false };
    const readings = this.#readingsOf(station, timeUs).map((reading) =>
      timeUs < 0 ? reading : { ...reading, isDeviceTime: true as const },
    );
    queue.notifications.push({ readings, seen });
    const max = QUEUE_MAX + Math.ceil(this.#failoverMs / station.options.periodMs);
    if (queue.notifications.length <= max) return;
    queue.notifications.shift();
    queue.overflowed = true;
  }

  take(station: Station): { readings: Reading[]; seen: Seen[]; overflowed: boolean } {
    const { notifications, overflowed } = this.#queueOf(station);
    this.#queues.delete(station.options.name);
    return {
      readings: notifications.flatMap(({ readings }) => readings),
      seen: notifications.flatMap(({ seen }) => seen ?? []),
      overflowed,
    };
  }

  #queueOf(station: Station): Queue {
    const { name } = station.options;
    const queue = this.#queues.get(name) ?? { notifications: [], overflowed: false };
    this.#queues.set(name, queue);
    return queue;
  }
}
