import type { Clock } from '../world/clock.ts';
import type { Channel } from './channel.ts';
import { LIVE_VALUES_MAX } from './limits.ts';
import { LinkRate, WAITING_BYTES_MIN } from './link-rate.ts';
import type { Message } from './messages.ts';
import type { UplinkSource } from './session.ts';

/** With more than this waiting on the control connection nothing is added to the live lane. */
const QUEUED_BYTES_MAX = 64 * 1024;
const VALUES_PER_FRAME = Math.min(1000, LIVE_VALUES_MAX);
/** A frame that measures the trip is a small one. */
const PROBE_BYTES = 256;
/** A frame with less room than this is not worth its own bytes. */
const FRAME_BYTES_MIN = 128;

export interface LiveSenderOptions {
  readonly control: Channel;
  /** The most urgent first. */
  readonly sources: readonly UplinkSource[];
  /** The catch-up does not get the rate that it is to have: live values give way. */
  readonly isBlocksFirst: () => boolean;
  /** The connection does not take any more. */
  readonly failed: (error: unknown) => void;
  readonly clock: Clock;
}

/**
 * The control lane as this side sends it: messages that must go, and live values as far as the link carries
 * them. What waits here is conflated, what is on the way is not; so little is on the way.
 */
export class LiveSender {
  readonly #options: LiveSenderOptions;
  readonly #link: LinkRate;
  /** At the last beat there was more than fitted. */
  #isWaiting = false;

  constructor(options: LiveSenderOptions) {
    this.#options = options;
    this.#link = new LinkRate(options.control.sentBytes);
  }

  /** So many bytes of the connection have arrived, as the Kernel says. */
  arrived(totalBytes: number): void {
    this.#link.arrived(totalBytes, this.#options.clock.monotonicMs());
    if (this.#isWaiting) this.send();
  }

  /** Sends a message of another kind. */
  sendOther(message: Message): void {
    const { control, clock, failed } = this.#options;
    control.send(message).catch(failed);
    this.#link.sent(control.sentBytes, clock.monotonicMs());
  }

  /**
   * While the archive lane is behind, what changed goes ahead of it; otherwise the blocks bring it. In each
   * session every tag is said once: a Kernel that started anew knows of none.
   */
  send(): void {
    this.#isWaiting = false;
    if (this.#isProbeDue && this.#link.waitingBytes > 0) {
      // The trip is measured by what finds the way empty; that is soon.
      this.#isWaiting = true;
      return;
    }
    for (const source of this.#options.sources) {
      if (source.backlog.state === 'online') source.live.clearChanged();
      this.#sendOf(source);
    }
  }

  #sendOf({ live, streamId, dictionaryHash }: UplinkSource): void {
    while (this.#options.control.queuedBytes < QUEUED_BYTES_MAX) {
      const roomBytes = this.#roomBytes;
      const values = roomBytes < FRAME_BYTES_MIN ? [] : live.take(VALUES_PER_FRAME, roomBytes);
      this.#isWaiting ||= live.hasChanges;
      if (values.length === 0) return;
      this.sendOther({ type: 'live', live: { streamId, dictionaryHash, values } });
    }
  }

  get #isProbeDue(): boolean {
    return this.#link.isProbeDue(this.#options.clock.monotonicMs());
  }

  get #roomBytes(): number {
    if (this.#isProbeDue) return this.#link.waitingBytes > 0 ? 0 : PROBE_BYTES;
    const isLast = this.#options.isBlocksFirst();
    const most = isLast ? WAITING_BYTES_MIN / 4 : this.#link.waitingBytesMax;
    return Math.min(this.#link.messageBytesMax, most - this.#link.waitingBytes);
  }
}
