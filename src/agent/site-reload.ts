import type { KernelPlaces, WaitingProcess } from '../config/model.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { Audit, AuditEntry } from '../ops/audit.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mintId, type Random } from '../world/random.ts';
import { formatAddress } from '../world/transport.ts';

export interface SiteReloadOptions {
  /**
   * Reads the site file anew. @throws KomError that says what is wrong with it, or what of it needs a restart
   */
  readonly readPlaces?: () => Promise<KernelPlaces>;
  readonly instances: () => readonly FollowingInstance[];
  /** Every instance runs: from then on whoever asks is heard. */
  readonly started: Promise<void>;
  /** The files of keys and certificates may be other ones. */
  readonly lookAtCertificates: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** An instance that goes where the Kernels are. */
export interface FollowingInstance {
  readonly process: string;
  readonly audit: Audit;
  /** Takes over where the Kernels are. */
  follow(places: KernelPlaces): void;
}

/** Who asked. */
export type Asker = Pick<AuditEntry, 'operator' | 'host'>;

/** Where the Kernels are from now on. */
export interface NamedPlaces {
  readonly kernels: readonly string[];
  /** Processes that wait for a Kernel, and where it may dial from; empty: anywhere. */
  readonly waiting: readonly WaitingProcess[];
}

/**
 * Reads the site file of a running agent anew and has every instance follow what it says of the Kernels: all
 * of it, or nothing. Each instance writes it down, done or refused.
 */
export class SiteReload {
  readonly #options: SiteReloadOptions;
  /** One after the other. */
  #turn: Promise<unknown>;

  constructor(options: SiteReloadOptions) {
    this.#options = options;
    this.#turn = options.started;
  }

  /** @throws KomError that says why nothing is taken over */
  take(asker: Asker): Promise<NamedPlaces> {
    const turn = this.#turn.then(() => this.#take(asker));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #take(asker: Asker): Promise<NamedPlaces> {
    const { instances, log, lookAtCertificates } = this.#options;
    try {
      const places = await this.#read();
      await lookAtCertificates();
      for (const instance of instances()) instance.follow(places);
      const named = this.#namedBy(places);
      log.info({ ...named }, 'the site file was read anew');
      await this.#write(asker, { outcome: 'done', text: placesText(named) });
      return named;
    } catch (error) {
      const text = describeError(error);
      log.warn({ error: text }, 'the site file is not taken over');
      await this.#write(asker, { outcome: 'refused', text });
      throw error;
    }
  }

  async #read(): Promise<KernelPlaces> {
    const { readPlaces } = this.#options;
    if (readPlaces === undefined) throw new KomError('KOM_USAGE', 'this agent has no site file to read anew');
    return await readPlaces();
  }

  #namedBy({ kernels, waiting }: KernelPlaces): NamedPlaces {
    const own = new Set(this.#options.instances().map(({ process }) => process));
    return {
      kernels: kernels.map(formatAddress),
      waiting: waiting.filter(({ process }) => own.has(process)),
    };
  }

  async #write(asker: Asker, result: Pick<AuditEntry, 'outcome' | 'text'>): Promise<void> {
    const { instances, clock, random, log } = this.#options;
    for (const { process, audit } of instances()) {
      const entry = { commandId: mintId(random), atUs: clock.wallUs(), way: 'agent' as const, process };
      await audit
        .write({ ...entry, ...asker, name: 'reload', parameters: {}, ...result })
        .catch((error: unknown) => {
          log.error({ process, error: describeError(error) }, 'the audit took no entry');
        });
    }
  }
}

/** Method of the agent's control socket for operators: `reload`. */
export function reloadHandlers(reload: SiteReload): Readonly<Record<string, ControlHandler>> {
  return {
    reload: async function* ({ operator, host }) {
      yield await reload.take({ operator: String(operator ?? ''), host: String(host ?? '') });
    },
  };
}

/** A line for people, for each kind of place. */
export function placesText({ kernels, waiting }: NamedPlaces): string {
  const dialled = `the Kernels: ${kernels.length === 0 ? 'none' : kernels.join(', ')}`;
  const froms = waiting.map(
    ({ process, allowFrom }) =>
      `${process} waits for a Kernel from ${allowFrom.length === 0 ? 'anywhere' : allowFrom.join(', ')}`,
  );
  return [dialled, ...froms].join('\n');
}
