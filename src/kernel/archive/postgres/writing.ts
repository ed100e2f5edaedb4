import { describeError, isKomError } from '../../../domain/errors.ts';
import { OutageLog } from '../../outage-log.ts';
import type { Register } from '../register.ts';
import { hasRegressed } from '../register-reads.ts';
import { TagIndexes } from '../tag-indexes.ts';
import { DatabaseError, formatHost } from './connection.ts';
import { overtaken } from './database.ts';
import { openForWriting, type Parts } from './open.ts';
import type { PostgresArchiveOptions } from './options.ts';
import { unavailable } from './refusals.ts';

/** A server that needs longer than it should for what it is asked gets more time, up to so many times. */
const PATIENCE_MAX = 16;

export interface WritingOptions extends PostgresArchiveOptions {
  /** Connections may lead to a host that has changed its role. */
  readonly renewReaders: () => Promise<void>;
}

/**
 * Writes one after the other, each over a session that is known to have everything of the one before. After a
 * transaction of which nobody knows what became the database is opened anew, maybe at another host.
 */
export class Writing {
  readonly #options: WritingOptions;
  /** Undefined until it is opened, and after a transaction of which nobody knows what became. */
  #parts: Parts | undefined;
  #register: Register | undefined;
  #tagIndexes = new TagIndexes();
  #isPrepared: boolean;
  /** This settles when the last one has. */
  #turns: Promise<unknown> = Promise.resolve();
  #patience = 1;
  readonly #outage: OutageLog;
  #whenRegressed: () => void = () => {};

  constructor(options: WritingOptions) {
    this.#options = options;
    const { clock, log, reign } = options;
    // Who has the lock has the tables.
    this.#isPrepared = reign !== undefined;
    const giveUp = (): void => this.#parts?.session.connection.giveUp('this Kernel is not hot any more');
    reign?.signal.addEventListener('abort', giveUp, { once: true });
    this.#outage = new OutageLog({ clock, log, what: 'the archive' });
  }

  /** Why nothing can be written now; `null`: it can. */
  get lastError(): string | null {
    return this.#outage.reason;
  }

  /** What is archived, as far as everything that was written is known to be; undefined: it is not known. */
  get known(): Register | undefined {
    return this.#parts?.session.connection.isUsable === true ? this.#parts.catalog : undefined;
  }

  /** What questions are answered from: the last that was known. */
  get register(): Register | undefined {
    return this.#register;
  }

  /** Ids of tags and dictionaries never mean anything else, but in a database that has lost something. */
  get tagIndexes(): TagIndexes {
    return this.#tagIndexes;
  }

  whenRegressed(told: () => void): void {
    this.#whenRegressed = told;
  }

  /** @throws KomError KOM_ARCHIVE_UNAVAILABLE, KOM_KERNEL_STANDBY, and what `work` throws of its own */
  async turn(work: (parts: Parts) => Promise<void>): Promise<void> {
    const turn = this.#turns.then(async () => {
      try {
        this.#checkRules();
        const parts = await this.#openParts();
        await work(parts);
        this.#outage.well();
        this.#patience = 1;
      } catch (error) {
        this.#checkRules();
        await this.#failed(error);
        throw unavailable(error);
      }
    });
    this.#turns = turn.catch(() => undefined);
    await turn;
  }

  /** Resolves when the last turn is over; nothing may be begun any more. */
  async settled(): Promise<void> {
    await this.#turns;
  }

  /** In good order. */
  async close(): Promise<void> {
    await this.#parts?.session.connection.close();
    this.#parts = undefined;
  }

  async #openParts(): Promise<Parts> {
    if (this.#parts?.session.connection.isUsable === true) return this.#parts;
    const { config, clock, log, reign } = this.#options;
    const answerMaxMs = config.answerTimeoutMs * this.#patience;
    const isPrepared = this.#isPrepared;
    this.#parts = undefined;
    const epoch = reign?.epoch ?? null;
    const opening = { config, clock, log, login: config.login, isPrepared, answerMaxMs, epoch };
    const parts = await openForWriting(opening);
    this.#parts = parts;
    this.#checkRules();
    this.#isPrepared = true;
    const before = this.#register;
    this.#register = parts.catalog;
    this.#tagIndexes = new TagIndexes();
    const { host } = parts.session.connection;
    if (before !== undefined) log.info({ host: formatHost(host) }, 'the database is open again');
    if (before !== undefined && hasRegressed(before, parts.catalog)) {
      log.error({}, 'the database has lost what was archived: agents send again what they still hold');
      this.#whenRegressed();
    }
    return parts;
  }

  /**
   * What the server refused did not happen, and the session goes on. Where the connection is lost, or the
   * host takes no writes any more, it is opened anew with the next use, maybe at another host.
   */
  async #failed(error: unknown): Promise<void> {
    const isRefusedByUs = isKomError(error) && error.code !== 'KOM_ARCHIVE_UNAVAILABLE';
    if (isRefusedByUs) return;
    this.#outage.failed(error);
    // One of them may be what it refused for: somebody has dropped or detached it.
    this.#parts?.catalog.months.clear();
    const state = error instanceof DatabaseError ? error.state : null;
    const connection = this.#parts?.session.connection;
    // SQLSTATE class 25 is a host that is read-only, 57 one that stops, 3F and 42 tables that are not there;
    // 22P03 is a column of another type.
    const isOver = connection?.isUsable !== true || /^(25|57|3F|42|22P03)/.test(state ?? '');
    if (!(error instanceof DatabaseError) || isOver) {
      if (connection?.hasTimedOut === true) {
        this.#patience = Math.min(PATIENCE_MAX, this.#patience * 2);
      }
      connection?.giveUp(describeError(error));
      this.#parts = undefined;
      await this.#options.renewReaders();
    }
  }

  /** @throws KomError KOM_KERNEL_STANDBY */
  #checkRules(): void {
    const { reign } = this.#options;
    if (reign?.signal.aborted !== true) return;
    this.#parts?.session.connection.giveUp('this Kernel is not hot any more');
    throw overtaken(reign.epoch);
  }
}
