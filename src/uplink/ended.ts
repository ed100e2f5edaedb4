import { describeError, isKomError, type KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { RecurringLog } from '../world/recurring-log.ts';
import type { Channel } from './channel.ts';
import { byeReason } from './hello.ts';
import type { ByeReason } from './messages.ts';

/** Goodbyes of an ordinary day: somebody stops, or another Kernel is hot. */
const ORDINARY: ReadonlySet<ByeReason | string> = new Set(['stopping', 'standby']);

/** The detail of an error for a goodbye: one of an ordinary day is no fault. */
export function goodbye(reason: string): { readonly isOrdinary?: true } {
  return ORDINARY.has(reason) ? { isOrdinary: true } : {};
}

/** Nothing is wrong: the other side, or this one, said that it goes. */
export function isOrdinaryEnd(error: KomError): boolean {
  return error.code === 'KOM_KERNEL_STANDBY' || error.detail.isOrdinary === true;
}

/** The machine of a remote end: its port is another one each time. */
export function hostOf(remote: string): string {
  return remote.replace(/:\d+$/, '');
}

/** Ends connections that others opened, and says why in the log, without being flooded. */
export class EndedConnections {
  readonly #options: { readonly log: Log; readonly what: string };
  readonly #recurring: RecurringLog;

  /** `what` as in `peer connection`. */
  constructor(options: { readonly clock: Clock; readonly log: Log; readonly what: string }) {
    this.#options = options;
    this.#recurring = new RecurringLog(options);
  }

  /** It is not even listened to. */
  refuse(channel: Channel, refusal: string): void {
    const { remote } = channel;
    this.#recurring.say('warn', `${hostOf(remote)} ${refusal}`, { remote }, `refused: ${refusal}`);
    channel.bye('forbidden', refusal);
  }

  /** `isOrdinary`: the other side may leave at any moment, as whoever only listens may. */
  end(channel: Channel, error: unknown, isOrdinary = false): void {
    const { log, what } = this.#options;
    const { remote } = channel;
    if (!isKomError(error)) {
      log.error({ remote, error: describeError(error) }, `a ${what} failed`);
      channel.bye('unspecified', 'internal error');
      return;
    }
    const fields = { remote, code: error.code, error: error.message };
    const isLeft = error.code === 'KOM_CONNECTION_LOST' && (isOrdinary || channel.saidBye);
    if (isLeft || isOrdinaryEnd(error)) log.debug(fields, `${what} closed`);
    else {
      const key = `${hostOf(remote)} ${error.message.replaceAll(remote, '')}`;
      this.#recurring.say('warn', key, fields, `${what} closed`);
    }
    channel.bye(byeReason(error), error.message);
  }
}
