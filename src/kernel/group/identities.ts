import { KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

/** What a machine is told that is not let in, because another one has its name. */
const TWIN = 'another machine is Kernel';

/** Another Kernel said that. */
export function isSaidToTwin(error: string | null): boolean {
  return error?.includes(TWIN) === true;
}

/** Two machines under one name, and from where they were heard; empty: it is not known. */
export interface Twins {
  readonly name: string;
  readonly first: string;
  /** The one that is not let in. */
  readonly second: string;
}

/** A connection that a Kernel is heard over. */
interface Heard {
  readonly remote: string;
}

/** A machine that was heard so shortly ago still runs, if its connection is open. */
const PRESENT_MS = 5000;
/** For so long a second one under one name stays an alarm. */
const TWIN_SHOWN_MS = 60_000;

interface Known {
  readonly identity: string;
  readonly remote: string;
  readonly heardMs: number;
  /** Those over which it was heard and that are open. */
  readonly connections: Set<object>;
}

/**
 * Which machine each Kernel of the file is. Two under one name, such as a copy, or a replaced one that was
 * switched on again, would be taken for one, with the archive of either.
 */
export class Identities {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #known = new Map<string, Known>();
  readonly #twins = new Map<string, { readonly twins: Twins; readonly seenMs: number }>();

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Names under which two machines were there lately. */
  get twins(): Twins[] {
    const nowMs = this.#clock.monotonicMs();
    const shown = [...this.#twins.values()].filter(({ seenMs }) => nowMs - seenMs < TWIN_SHOWN_MS);
    return shown.map(({ twins }) => twins);
  }

  /**
   * A Kernel says Hello over a connection. Empty: it is of an older version, and says none. A machine that is
   * silent or has left may be replaced. @throws KomError KOM_ALREADY_RUNNING
   */
  check(name: string, identity: string, { remote }: Heard): void {
    if (identity === '') return;
    const nowMs = this.#clock.monotonicMs();
    const known = this.#known.get(name);
    const isOther = known !== undefined && known.identity !== identity;
    if (isOther && known.connections.size > 0 && nowMs - known.heardMs < PRESENT_MS) {
      const twins = { name, first: known.remote, second: remote };
      if (!this.twins.some((each) => each.name === name))
        this.#log.error(twins, 'two machines have one name');
      this.#twins.set(name, { twins, seenMs: nowMs });
      throw new KomError('KOM_ALREADY_RUNNING', `${TWIN} ${name}`, {
        hint: 'give one of them another name, or stop it',
      });
    }
    if (isOther) this.#log.warn({ kernel: name }, 'another machine is this Kernel now');
  }

  /** The same of one that speaks. @throws KomError KOM_ALREADY_RUNNING */
  spoke(name: string, identity: string, connection: Heard): void {
    if (identity === '') return;
    this.check(name, identity, connection);
    const known = this.#known.get(name);
    const { remote } = connection;
    const now = known?.identity === identity ? known : { identity, remote, connections: new Set<object>() };
    now.connections.add(connection);
    this.#known.set(name, { ...now, heardMs: this.#clock.monotonicMs() });
  }

  /** A connection has ended. */
  left(connection: object): void {
    for (const { connections } of this.#known.values()) connections.delete(connection);
  }
}
