import { KomError } from '../domain/errors.ts';
import type { LeaseSide } from '../domain/lease.ts';
import { counterOf } from '../domain/term.ts';
import type { Clock } from '../world/clock.ts';
import { checkedCounter } from './limits.ts';
import type { Message } from './messages.ts';

export interface LeaseLaneOptions {
  readonly side: LeaseSide;
  readonly send: (message: Message) => void;
  readonly clock: Clock;
}

/**
 * What one session says of the lease, and hears. A lease counts from when that was sent which it answers, so
 * each renewal carries the time of its sending, rounded down, and the answer brings it back.
 */
export class LeaseLane {
  readonly #options: LeaseLaneOptions;
  #sentUs = 0;

  constructor(options: LeaseLaneOptions) {
    this.#options = options;
  }

  renew(): void {
    const { side, send, clock } = this.#options;
    this.#sentUs = Math.max(1, Math.floor(clock.monotonicMs() * 1000));
    send({ type: 'leaseRenewal', echoUs: this.#sentUs, claim: side.claim() });
  }

  /**
   * @throws KomError KOM_PROTOCOL_STATE for an answer to what was never sent, KOM_LIMIT_EXCEEDED for a term
   * that jumps
   */
  answered({ echoUs, answer }: Extract<Message, { type: 'lease' }>): void {
    const { side } = this.#options;
    if (echoUs === 0 || echoUs > this.#sentUs) {
      throw new KomError('KOM_PROTOCOL_STATE', 'the Kernel answers a renewal that was never sent');
    }
    checkedCounter('term', counterOf(answer.term), counterOf(side.claim().highestTerm));
    side.answered(answer, echoUs / 1000);
  }
}
