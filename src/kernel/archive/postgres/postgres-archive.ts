import { type CoverageRange, EMPTY_COVERAGE } from '../../../domain/coverage.ts';
import type { Dictionary } from '../../../domain/dictionary.ts';
import { isKomError } from '../../../domain/errors.ts';
import type { LateRange } from '../../../domain/late-range.ts';
import type {
  Archive,
  ArchivedEntries,
  ArchivedGap,
  ArchivedSample,
  ArchivedStream,
  ArchivedTag,
  ArchivedTerm,
  ArchiveStat,
  ArchiveTransaction,
  EntryQuery,
  ExportQuery,
  LateQuery,
  QualityChange,
  SampleQuery,
  TagInterval,
  TagName,
  TagStream,
  TagsInterval,
} from '../../../world/archive.ts';
import { LateAnnouncer } from '../late-announcer.ts';
import type { Register } from '../register.ts';
import { presentTags, streamsOfProcess } from '../register-reads.ts';
import { Retention } from '../retention.ts';
import type { Query } from './catalog.ts';
import { commitTransaction } from './commit.ts';
import { type Connection, DatabaseError, isRefusedFor } from './connection.ts';
import { putDictionary, readDictionary } from './dictionaries.ts';
import { readEntries } from './entries.ts';
import { exportSamples } from './export.ts';
import { readLate } from './late.ts';
import { openForReading, type Parts } from './open.ts';
import type { PostgresArchiveOptions } from './options.ts';
import { readQualityChangesOf } from './quality-reads.ts';
import { Readers } from './readers.ts';
import { readGaps, readQualityChanges, readSamples, readStat, readTagStreams } from './reads.ts';
import { closedError, lostError, readOnlyError, unavailable } from './refusals.ts';
import { dropOldMonths } from './retention.ts';
import { UPKEEP_VERSION_MIN } from './schema.ts';
import { readKernelEpoch, readTerms, writeKernelEpoch, writeTerm } from './state.ts';
import { Upkeep } from './upkeep.ts';
import { Writing } from './writing.ts';

/** A question may take so long: one over years of a large archive does. */
const QUESTION_MAX_MS = 600_000;
/** Beside another Kernel that writes, an answer is at most so old. */
const REGISTER_AGE_MAX_MS = 500;

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
    if (isAway && options.readOnly !== true && options.reign === undefined) return archive;
    await archive.close();
    throw error;
  }
  return archive;
}

/** Answers questions beside whoever writes, with what is there when they are asked. */
export function followPostgresArchive(options: Omit<PostgresArchiveOptions, 'readOnly'>): Archive {
  return new PostgresArchive({ ...options, readOnly: true }, REGISTER_AGE_MAX_MS);
}

class PostgresArchive implements Archive {
  readonly #options: PostgresArchiveOptions;
  readonly #readers: Readers;
  readonly #writing: Writing;
  /** Of an archive for questions only: what they are answered from. */
  #seen: Register | undefined;
  #seenMs = Number.NEGATIVE_INFINITY;
  /** What is read beside whoever writes is read anew after so long. */
  readonly #registerAgeMaxMs: number;
  readonly #reads = new Set<Promise<unknown>>();
  #closed = false;
  readonly #announcer: LateAnnouncer;
  readonly #retention: Retention | null;
  readonly #upkeep: Upkeep;

  constructor(options: PostgresArchiveOptions, registerAgeMaxMs = Number.POSITIVE_INFINITY) {
    this.#options = options;
    this.#registerAgeMaxMs = registerAgeMaxMs;
    const { config, clock, log, readOnly } = options;
    const readers = new Readers({ config, login: config.login, clock });
    this.#readers = readers;
    this.#writing = new Writing({ ...options, renewReaders: () => readers.renew() });
    this.#announcer = new LateAnnouncer(log);
    this.#upkeep = new Upkeep(options);
    const { retentionMs } = config;
    const isKept = retentionMs === null || readOnly === true;
    this.#retention = isKept
      ? null
      : new Retention({ retentionMs, clock, log, dropOldMonths: (age) => this.#dropOldMonths(age) });
  }

  /** @throws KomError */
  async open(): Promise<void> {
    if (this.#options.readOnly === true) await this.#registerForQuestions();
    else {
      await this.#write(async () => {});
      // A Kernel that becomes hot has agents waiting: it drops them an hour later.
      if (this.#options.reign === undefined) await this.#retention?.drop();
    }
  }

  get lastError(): string | null {
    return this.#writing.lastError;
  }

  dictionary(hash: string): Promise<Dictionary | undefined> {
    return this.#read((query) => readDictionary(query, hash));
  }

  dictionaries(): Promise<string[]> {
    return this.#known((register) => [...register.dictionaries.keys()]);
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
      if (parts.catalog.version < UPKEEP_VERSION_MIN) return;
      this.#upkeep.took(transaction.blocks.reduce((rows, { block }) => rows + block.header.count, 0));
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

  entries(asked: EntryQuery): Promise<ArchivedEntries> {
    return this.#read((query, register) =>
      readEntries(query, register, { asked, tagIndexes: this.#writing.tagIndexes }),
    );
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

  async #dropOldMonths(age: { readonly retentionMs: number; readonly nowUs: number }): Promise<number> {
    let dropped = 0;
    await this.#write(async (parts) => {
      const done = await dropOldMonths(parts, age);
      dropped = done.dropped;
      if (done.keptFrom === null || parts.catalog.version < UPKEEP_VERSION_MIN) return;
      this.#upkeep.prepareDrop(done.keptFrom);
    });
    return dropped;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#retention?.stop();
    await this.#upkeep.close();
    await this.#writing.settled();
    await Promise.allSettled(this.#reads);
    this.#announcer.close();
    await this.#writing.close();
    await this.#readers.renew();
  }

  whenRegressed(told: () => void): void {
    this.#writing.whenRegressed(told);
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
    if (this.#writing.known === undefined) await this.#write(async () => {});
    const { known } = this.#writing;
    if (known === undefined) throw this.#closed ? closedError() : lostError();
    return work(known);
  }

  async #write(work: (parts: Parts) => Promise<void>): Promise<void> {
    if (this.#closed) throw closedError();
    if (this.#options.readOnly === true) throw readOnlyError();
    await this.#writing.turn(work);
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
    const { clock, config, readOnly } = this.#options;
    if (readOnly !== true) {
      const { register } = this.#writing;
      if (register !== undefined) return register;
      if ((await this.#opens()) && this.#writing.register !== undefined) return this.#writing.register;
    } else if (this.#seen !== undefined && clock.monotonicMs() - this.#seenMs <= this.#registerAgeMaxMs) {
      return this.#seen;
    }
    const { schema } = config;
    try {
      const register = await this.#readers.use((connection) =>
        openForReading(connection, { schema, answerMaxMs: QUESTION_MAX_MS }),
      );
      // Else it is that of the tables once they can be written, which may have more.
      if (readOnly === true) {
        this.#seen = register;
        this.#seenMs = clock.monotonicMs();
      }
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
}

function queryOn(connection: Connection): Query {
  return (sql, values = []) => connection.query(sql, values, QUESTION_MAX_MS);
}
