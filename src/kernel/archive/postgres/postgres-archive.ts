import type { PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import { type CoverageRange, EMPTY_COVERAGE } from '../../../domain/coverage.ts';
import type { Dictionary } from '../../../domain/dictionary.ts';
import { describeError, isKomError, KomError } from '../../../domain/errors.ts';
import type { LateRange } from '../../../domain/late-range.ts';
import type {
  Archive,
  ArchivedGap,
  ArchivedSample,
  ArchivedStream,
  ArchivedTag,
  ArchivedTerm,
  ArchiveStat,
  ArchiveTransaction,
  ExportQuery,
  LateQuery,
  QualityChange,
  SampleQuery,
  TagInterval,
  TagName,
  TagStream,
  TagsInterval,
} from '../../../world/archive.ts';
import type { Clock, Timer } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import { LateAnnouncer } from '../late-announcer.ts';
import type { Register } from '../register.ts';
import { hasRegressed, presentTags, streamsOfProcess } from '../register-reads.ts';
import type { Query } from './catalog.ts';
import { commitTransaction } from './commit.ts';
import { type Connection, DatabaseError, formatHost, isRefusedFor } from './connection.ts';
import { putDictionary, readDictionary } from './dictionaries.ts';
import { exportSamples } from './export.ts';
import { readLate } from './late.ts';
import { openForReading, openForWriting, type Parts } from './open.ts';
import { readQualityChangesOf } from './quality-reads.ts';
import { Readers } from './readers.ts';
import { readGaps, readQualityChanges, readSamples, readStat, readTagStreams } from './reads.ts';
import { dropOldMonths } from './retention.ts';
import { readKernelEpoch, readTerms, writeKernelEpoch, writeTerm } from './state.ts';

/** A question may take so long: one over years of a large archive does. */
const QUESTION_MAX_MS = 600_000;
/** A server that needs longer than it should for what it is asked gets more time, up to so many times. */
const PATIENCE_MAX = 16;
/** How often is looked for months that are older than the retention. */
const RETENTION_EVERY_MS = 3_600_000;

export interface PostgresArchiveOptions {
  readonly config: PostgresArchiveConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Only questions are asked, beside whoever writes; nothing is made. */
  readonly readOnly?: boolean;
}

/**
 * Opens the archive in a PostgreSQL database. One that is away, or takes nothing now, does not keep a Kernel
 * from starting: agents wait, and it is tried again with each use.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if a person must put it right: a wrong password, no such database,
 * no right to make the tables, tables of a newer program
 */
export async function openPostgresArchive(options: PostgresArchiveOptions): Promise<Archive> {
  const archive = new PostgresArchive(options);
  try {
    await archive.open();
  } catch (error) {
    const isAway = isKomError(error) && error.cause instanceof DatabaseError && !isRefusedFor(error);
    if (isAway && options.readOnly !== true) return archive;
    await archive.close();
    throw error;
  }
  return archive;
}

class PostgresArchive implements Archive {
  readonly #options: PostgresArchiveOptions;
  readonly #readers: Readers;
  /** Undefined until it is opened, and after a transaction of which nobody knows what became. */
  #parts: Parts | undefined;
  /** What questions are answered from: that of the last parts. */
  #register: Register | undefined;
  #isPrepared = false;
  /** Writes go one after the other; this settles when the last one has. */
  #writes: Promise<unknown> = Promise.resolve();
  readonly #reads = new Set<Promise<unknown>>();
  #patience = 1;
  #closed = false;
  #lastError: string | null = null;
  #whenRegressed: () => void = () => {};
  readonly #announcer: LateAnnouncer;
  readonly #retention: Timer | null;

  constructor(options: PostgresArchiveOptions) {
    this.#options = options;
    const { config, clock, log, readOnly } = options;
    this.#readers = new Readers({ config, login: config.login, clock });
    this.#announcer = new LateAnnouncer(log);
    const isKept = config.retentionMs === null || readOnly === true;
    this.#retention = isKept
      ? null
      : clock.repeat('retention', RETENTION_EVERY_MS, () => void this.#dropOldMonths());
  }

  /** @throws KomError */
  async open(): Promise<void> {
    if (this.#options.readOnly === true) await this.#registerForQuestions();
    else {
      await this.#write(async () => {});
      await this.#dropOldMonths();
    }
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  dictionary(hash: string): Promise<Dictionary | undefined> {
    return this.#read((query) => readDictionary(query, hash));
  }

  putDictionary(hash: string, bytes: Uint8Array, dictionary: Dictionary): Promise<void> {
    return this.#write(({ session, catalog }) =>
      putDictionary(session, catalog, { hash, bytes, dictionary }),
    );
  }

  coverage(streamId: string): Promise<readonly CoverageRange[]> {
    return this.#known((register) => register.coverage.get(streamId) ?? EMPTY_COVERAGE);
  }

  commit(transaction: ArchiveTransaction): Promise<void> {
    const { clock, config } = this.#options;
    return this.#write(async (parts) => {
      const late = await commitTransaction(transaction, { ...parts, clock, schema: config.schema });
      this.#announcer.took(late, transaction.receivedAtUs);
    });
  }

  kernelEpoch(): Promise<number> {
    return this.#settled(readKernelEpoch);
  }

  raiseKernelEpoch(epoch: number): Promise<void> {
    return this.#write(({ session }) => writeKernelEpoch(session, epoch));
  }

  terms(): Promise<ArchivedTerm[]> {
    return this.#settled(readTerms);
  }

  raiseTerm(term: ArchivedTerm): Promise<void> {
    return this.#write(({ session }) => writeTerm(session, term));
  }

  samples(asked: SampleQuery): Promise<ArchivedSample[]> {
    return this.#read((query, register) => readSamples(query, register, asked));
  }

  qualityChanges(asked: TagInterval): Promise<QualityChange[]> {
    return this.#read((query, register) => readQualityChanges(query, register, asked));
  }

  qualityChangesOf(asked: TagsInterval): Promise<Map<string, QualityChange[]>> {
    return this.#read((query, register) => readQualityChangesOf(query, register, asked));
  }

  lateRanges(asked: LateQuery): Promise<LateRange[]> {
    return this.#read((query) => readLate(query, asked));
  }

  exportSamples(asked: ExportQuery): Promise<number> {
    return this.#read((_query, register, connection) => exportSamples(connection, register, asked));
  }

  gaps(asked: TagInterval): Promise<ArchivedGap[]> {
    return this.#read((query, register) => readGaps(query, register, asked));
  }

  streams(site: string, process: string): Promise<ArchivedStream[]> {
    return this.#known((register) => streamsOfProcess(register, site, process));
  }

  tagStreams(tag: TagName): Promise<TagStream[]> {
    return this.#read((query, register) => readTagStreams(query, register, tag));
  }

  tags(site?: string): Promise<ArchivedTag[]> {
    return this.#read(async (_query, register) => presentTags(register, site));
  }

  stat(): Promise<ArchiveStat> {
    return this.#read(async (query, register) => ({
      ...(await readStat(query, register)),
      tags: presentTags(register).length,
      streams: register.streams.size,
    }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#retention?.cancel();
    await this.#writes;
    await Promise.allSettled(this.#reads);
    this.#announcer.close();
    await this.#parts?.session.connection.close();
    this.#parts = undefined;
    await this.#readers.renew();
  }

  whenRegressed(told: () => void): void {
    this.#whenRegressed = told;
  }

  /** Asked in the turn of a write: the host that takes writes answers. */
  async #settled<T>(work: (query: Query) => Promise<T>): Promise<T> {
    if (this.#options.readOnly === true) return await this.#read(work);
    let answer: { readonly value: T } | undefined;
    await this.#write(async ({ session }) => {
      answer = { value: await work((sql, values) => session.query(sql, values)) };
    });
    if (answer === undefined) throw closedError();
    return answer.value;
  }

  /** What the protocol goes by: never from before a transaction of which nobody knows what became. */
  async #known<T>(work: (register: Register) => T): Promise<T> {
    if (this.#closed) throw closedError();
    if (this.#options.readOnly === true) return work(await this.#registerForQuestions());
    if (this.#parts?.session.connection.isUsable !== true) await this.#write(async () => {});
    if (this.#parts === undefined) throw closedError();
    return work(this.#parts.catalog);
  }

  async #write(work: (parts: Parts) => Promise<void>): Promise<void> {
    if (this.#closed) throw closedError();
    const turn = this.#writes.then(async () => {
      try {
        const parts = await this.#openParts();
        await work(parts);
        this.#lastError = null;
        this.#patience = 1;
      } catch (error) {
        await this.#failed(error);
        throw unavailable(error);
      }
    });
    this.#writes = turn.catch(() => undefined);
    await turn;
  }

  async #openParts(): Promise<Parts> {
    if (this.#parts?.session.connection.isUsable === true) return this.#parts;
    const { config, clock, log } = this.#options;
    const answerMaxMs = config.answerTimeoutMs * this.#patience;
    const isPrepared = this.#isPrepared;
    this.#parts = undefined;
    const parts = await openForWriting({ config, clock, log, login: config.login, isPrepared, answerMaxMs });
    if (isPrepared)
      log.info({ host: formatHost(parts.session.connection.host) }, 'the database is open again');
    this.#isPrepared = true;
    this.#parts = parts;
    const before = this.#register;
    this.#register = parts.catalog;
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
    const what = describeError(error);
    if (what !== this.#lastError) {
      this.#options.log.error({ error: what }, 'the archive does not take a transaction');
    }
    this.#lastError = what;
    const state = error instanceof DatabaseError ? error.state : null;
    const connection = this.#parts?.session.connection;
    // SQLSTATE class 25 is a host that has become read-only, 57 one that is told to stop.
    const isOver = connection?.isUsable !== true || /^(25|57)/.test(state ?? '');
    if (!(error instanceof DatabaseError) || isOver) {
      if (connection?.hasTimedOut === true) {
        this.#patience = Math.min(PATIENCE_MAX, this.#patience * 2);
      }
      connection?.giveUp(what);
      this.#parts = undefined;
      await this.#readers.renew();
    }
  }

  async #read<T>(work: (query: Query, register: Register, connection: Connection) => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    const reading = (async () => {
      const register = await this.#registerForQuestions();
      return await this.#readers.use((connection) => work(queryOn(connection), register, connection));
    })();
    this.#reads.add(reading);
    try {
      return await reading;
    } catch (error) {
      throw unavailable(error);
    } finally {
      this.#reads.delete(reading);
    }
  }

  /** Where nothing can be written now, questions are answered as of the last time, or as it is read now. */
  async #registerForQuestions(): Promise<Register> {
    if (this.#register !== undefined) return this.#register;
    const isOpen = this.#options.readOnly !== true && (await this.#opens());
    if (isOpen && this.#register !== undefined) return this.#register;
    const { schema } = this.#options.config;
    try {
      const register = await this.#readers.use((connection) =>
        openForReading(connection, { schema, answerMaxMs: QUESTION_MAX_MS }),
      );
      // Else it is that of the tables once they can be written, which may have more.
      if (this.#options.readOnly === true) this.#register = register;
      return register;
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #opens(): Promise<boolean> {
    return await this.#write(async () => {}).then(
      () => true,
      () => false,
    );
  }

  async #dropOldMonths(): Promise<void> {
    const { config, clock, log } = this.#options;
    const { retentionMs } = config;
    if (retentionMs === null || this.#closed) return;
    try {
      await this.#write(async ({ session, catalog }) => {
        const months = await dropOldMonths(session, catalog, { retentionMs, nowUs: clock.wallUs() });
        if (months > 0) log.info({ months }, 'months that are older than the retention are dropped');
      });
    } catch (error) {
      log.warn({ error: describeError(error) }, 'months that are older than the retention are still there');
    }
  }
}

function queryOn(connection: Connection): Query {
  return (sql, values) => connection.query(sql, values, QUESTION_MAX_MS);
}

function closedError(): KomError {
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it is closed');
}

function unavailable(error: unknown): KomError {
  if (isKomError(error)) return error;
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', describeError(error), { cause: error });
}
