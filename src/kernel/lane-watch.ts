import { describeError } from '../domain/errors.ts';
import type { Channel } from '../uplink/channel.ts';
import type { ClockEcho } from '../uplink/messages.ts';
import { type Pace, SilenceWatch, silenceCheckMs } from '../uplink/silence.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';

/** What was read is reported within this time, and not more often. */
const REPORT_MS = 50;
/** A control lane may be silent so much longer while the data lane is not: blocks ahead take their time. */
const BUSY_FACTOR = 4;

export interface LaneWatchOptions {
  readonly channel: Channel;
  readonly pace: Pace;
  readonly clock: Clock;
  readonly log: Log;
  /** For the agent to learn this Kernel's clock from; control lane. */
  readonly echo?: () => ClockEcho | null;
  /** The other lane, while there is one. Given on the control lane, whose silence ends the session. */
  readonly other?: () => Channel | null;
}

/**
 * Beats of one lane. Each lane shows its own life, because a connection that only a firewall has dropped
 * looks open from both ends; and each says how much of it was read, soon after it was.
 */
export class LaneWatch {
  readonly #options: LaneWatchOptions;
  readonly #timers: Timer[] = [];
  #soon: Timer | null = null;
  #sentMs: number;
  #reportedBytes = 0;

  constructor(options: LaneWatchOptions) {
    const { clock, pace, channel } = options;
    this.#options = options;
    this.#sentMs = clock.monotonicMs();
    this.#timers.push(clock.repeat('heartbeat', pace.heartbeatMs, () => this.#beat()));
    channel.whenHeard(() => this.#heard());
    if (options.other !== undefined) this.#watchSilence(options.other);
    this.#beat();
  }

  cancel(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#soon?.cancel();
    this.#options.channel.whenHeard(() => {});
  }

  #heard(): void {
    if (this.#soon !== null) return;
    const waitMs = Math.max(0, this.#sentMs + REPORT_MS - this.#options.clock.monotonicMs());
    this.#soon = this.#options.clock.schedule('report', waitMs, () => {
      this.#soon = null;
      if (this.#options.channel.receivedBytes > this.#reportedBytes) this.#beat();
    });
  }

  #beat(): void {
    const { channel, clock, log, echo } = this.#options;
    this.#sentMs = clock.monotonicMs();
    this.#reportedBytes = channel.receivedBytes;
    const known = echo?.() ?? null;
    const heartbeat = {
      wallUs: clock.wallUs(),
      streams: [],
      observedUntilUs: 0,
      uplinkState: 'online',
      receivedBytes: this.#reportedBytes,
      isPartial: false,
      ...(known === null ? {} : { echo: known }),
    } as const;
    channel.send({ type: 'heartbeat', heartbeat }).catch((error: unknown) => {
      log.debug({ error: describeError(error) }, 'a heartbeat found nobody');
    });
  }

  #watchSilence(other: () => Channel | null): void {
    const { channel, pace, clock, log } = this.#options;
    const silence = new SilenceWatch(pace.silenceMaxMs, clock.monotonicMs());
    const check = (): void => {
      const busyMs = Math.max(other()?.silentMs ?? channel.silentMs, channel.silentMs / BUSY_FACTOR);
      const silentMs = Math.min(channel.silentMs, busyMs);
      if (!silence.isDead(clock.monotonicMs(), silentMs)) return;
      log.warn({ remote: channel.remote, silentMs: Math.round(silentMs) }, 'the agent is silent');
      channel.destroy();
      // The lane itself may end later: it may be waiting for the archive.
      timer.cancel();
    };
    const timer = clock.repeat('silence check', silenceCheckMs(pace.silenceMaxMs), check);
    this.#timers.push(timer);
  }
}
