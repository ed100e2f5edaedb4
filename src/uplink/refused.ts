import type { KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Refusal } from '../world/transport.ts';
import { turnAway } from './turn-away.ts';

/** The same refusal of one host is logged once in this time; the others are counted. */
const QUIET_MS = 60_000;
/** Hosts and reasons remembered; beyond, everything is forgotten and logged anew. */
const REMEMBERED_MAX = 1000;

interface Remembered {
  readonly loggedMs: number;
  suppressed: number;
}

/** Turns away connections that did not pass the transport, and says so in the log, without being flooded. */
export class RefusedConnections {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #remembered = new Map<string, Remembered>();

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  take({ remote, error, connection }: Refusal): void {
    if (connection !== null) turnAway(connection, error, this.#clock);
    this.#tell(remote, error);
  }

  #tell(remote: string, error: KomError): void {
    const key = `${remote.replace(/:\d+$/, '')} ${error.code}`;
    const nowMs = this.#clock.monotonicMs();
    const known = this.#remembered.get(key);
    if (known !== undefined && nowMs - known.loggedMs < QUIET_MS) {
      known.suppressed++;
      return;
    }
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(key, { loggedMs: nowMs, suppressed: 0 });
    const suppressed = known?.suppressed ?? 0;
    const fields = { remote, code: error.code, error: error.message };
    this.#log.warn(suppressed > 0 ? { ...fields, suppressed } : fields, 'refused a connection');
  }
}
