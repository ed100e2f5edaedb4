import type { KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { RecurringLog } from '../world/recurring-log.ts';
import type { Refusal } from '../world/transport.ts';
import { hostOf } from './ended.ts';
import { turnAway } from './turn-away.ts';

/** Turns away connections that did not pass the transport, and says so in the log, without being flooded. */
export class RefusedConnections {
  readonly #clock: Clock;
  readonly #log: RecurringLog;

  constructor(options: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = options.clock;
    this.#log = new RecurringLog(options);
  }

  take({ remote, error, connection }: Refusal): void {
    if (connection !== null) turnAway(connection, error, this.#clock);
    this.#tell(remote, error);
  }

  #tell(remote: string, error: KomError): void {
    const fields = { remote, code: error.code, error: error.message };
    this.#log.say('warn', `${hostOf(remote)} ${error.code}`, fields, 'refused a connection');
  }
}
