import type { CoverageRange } from '../../domain/coverage.ts';
import { EMPTY_COVERAGE } from '../../domain/coverage.ts';
import type { Dictionary } from '../../domain/dictionary.ts';
import { describeError, isKomError, KomError } from '../../domain/errors.ts';
import type { LateRange } from '../../domain/late-range.ts';
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
} from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { type Catalog, loadCatalog } from './catalog.ts';

import { commitTransaction } from './commit.ts';
import { insertDictionary, readDictionary } from './dictionaries.ts';
import { type Database, openDatabase } from './duckdb.ts';
import { readEntries } from './entries.ts';
import { exportSamples } from './export.ts';
import { readLate } from './late.ts';
import { LateAnnouncer } from './late-announcer.ts';
import { dropOldMonths } from './old-months.ts';
import { readQualityChangesOf } from './quality-reads.ts';
import {
  countGaps,
  readGaps,
  readQualityChanges,
  readSampleStat,
  readSamples,
  readTagStreams,
} from './reads.ts';
import { tagKey } from './register.ts';
import { presentTags, streamsOfProcess } from './register-reads.ts';
import { readKernelEpoch, writeKernelEpoch } from './repair.ts';
import { Retention } from './retention.ts';
import { TagIds } from './tag-ids.ts';
import { TagIndexes } from './tag-indexes.ts';
import { readTerms, writeTerm } from './terms.ts';

export interface DuckdbArchiveOptions {
  /** Directory of the database; made if it is not there. One process has it at a time. */
  readonly directory: string;
  /** Bound on the memory that DuckDB takes. */
  readonly memoryLimitBytes: number;
  readonly log: Log;
  /** Months that are wholly older are dropped; none is without it. */
  readonly retention?: { readonly retentionMs: number; readonly clock: Clock };
}

/**
 * Opens the embedded archive; what was committed before a crash is there again.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE; KOM_STORE_LOCKED if another process has it
 */
export async function openDuckdbArchive(options: DuckdbArchiveOptions): Promise<Archive> {
  const archive = new DuckdbArchive(options, await openParts(options));
  await archive.dropOldMonths();
  return archive;
}

interface Parts {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly tagIds: TagIds;
  readonly tagIndexes: TagIndexes;
}

async function openParts(options: DuckdbArchiveOptions): Promise<Parts> {
  const database = await openDatabase(options);
  try {
    const catalog = await loadCatalog(database);
    return { database, catalog, tagIds: new TagIds(), tagIndexes: new TagIndexes() };
  } catch (error) {
    database.close();
    throw unavailable(error);
  }
}

class DuckdbArchive implements Archive {
  readonly #options: DuckdbArchiveOptions;
  /** Undefined after a failed write, until the next use opens everything again. */
  #parts: Parts | undefined;
  /** Writes go one after the other; this settles when the last one has. */
  #writes: Promise<unknown> = Promise.resolve();
  readonly #reads = new Set<Promise<unknown>>();
  #closed = false;
  readonly #announcer: LateAnnouncer;
  readonly #retention: Retention | undefined;
  /** Months that were dropped so far. */
  #dropped = 0;

  constructor(options: DuckdbArchiveOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    this.#announcer = new LateAnnouncer(options.log);
    const { retention, log } = options;
    if (retention === undefined) return;
    this.#retention = new Retention({
      ...{ ...retention, log },
      dropOldMonths: async (age) => {
        const before = this.#dropped;
        await this.#write(async (parts) => {
          await dropOldMonths(parts, age, () => {
            this.#dropped += 1;
          });
        });
        return this.#dropped - before;
      },
    });
  }

  /** Those that are older than the retention now; hourly from then on. */
  async dropOldMonths(): Promise<void> {
    await this.#retention?.drop();
  }

  dictionary(hash: string): Promise<Dictionary | undefined> {
    return this.#read(({ database }) => readDictionary(database, hash));
  }

  dictionaries(): Promise<string[]> {
    return this.#read(async ({ catalog }) => [...catalog.dictionaries.keys()]);
  }

  putDictionary(hash: string, bytes: Uint8Array, dictionary: Dictionary): Promise<void> {
    return this.#write(async ({ database, catalog }) => {
      if (catalog.dictionaries.has(hash)) return;
      let made: Awaited<ReturnType<typeof insertDictionary>> | undefined;
      await database.transaction(async () => {
        made = await insertDictionary(database, catalog, { hash, bytes, dictionary });
      });
      if (made === undefined) return;
      catalog.dictionaries.set(hash, made.id);
      for (const tag of made.tags) {
        catalog.tags.set(tagKey(tag.site, tag.name), tag);
        catalog.tagsById.set(tag.id, tag);
      }
    });
  }

  coverage(streamId: string): Promise<readonly CoverageRange[]> {
    return this.#read(async ({ catalog }) => catalog.coverage.get(streamId) ?? EMPTY_COVERAGE);
  }

  commit(transaction: ArchiveTransaction): Promise<void> {
    return this.#write(async (parts) => {
      this.#announcer.took(await commitTransaction(transaction, parts), transaction.receivedAtUs);
    });
  }

  kernelEpoch(): Promise<number> {
    return this.#read(({ database }) => readKernelEpoch(database));
  }

  raiseKernelEpoch(epoch: number): Promise<void> {
    return this.#write(({ database }) => writeKernelEpoch(database, epoch));
  }

  terms(): Promise<ArchivedTerm[]> {
    return this.#read(({ database }) => readTerms(database));
  }

  raiseTerm(term: ArchivedTerm): Promise<void> {
    return this.#write(({ database }) => writeTerm(database, term));
  }

  entries(query: EntryQuery): Promise<ArchivedEntries> {
    return this.#read(({ database, catalog, tagIndexes }) =>
      readEntries(database, catalog, { query, tagIndexes }),
    );
  }

  samples(query: SampleQuery): Promise<ArchivedSample[]> {
    return this.#read(({ database, catalog }) => readSamples(database, catalog, query));
  }

  qualityChanges(query: TagInterval): Promise<QualityChange[]> {
    return this.#read(({ database, catalog }) => readQualityChanges(database, catalog, query));
  }

  qualityChangesOf(query: TagsInterval): Promise<Map<string, QualityChange[]>> {
    return this.#read(({ database, catalog }) => readQualityChangesOf(database, catalog, query));
  }

  lateRanges(query: LateQuery): Promise<LateRange[]> {
    return this.#read(({ database }) => readLate(database, query));
  }

  exportSamples(query: ExportQuery): Promise<number> {
    return this.#read(({ database, catalog }) => exportSamples(database, catalog, query));
  }

  gaps(query: TagInterval): Promise<ArchivedGap[]> {
    return this.#read(({ database, catalog }) => readGaps(database, catalog, query));
  }

  streams(site: string, process: string): Promise<ArchivedStream[]> {
    return this.#read(async ({ catalog }) => streamsOfProcess(catalog, site, process));
  }

  tagStreams(tag: TagName): Promise<TagStream[]> {
    return this.#read(({ database, catalog }) => readTagStreams(database, catalog, tag));
  }

  tags(site?: string): Promise<ArchivedTag[]> {
    return this.#read(async ({ catalog }) => presentTags(catalog, site));
  }

  stat(): Promise<ArchiveStat> {
    return this.#read(async ({ database, catalog }) => ({
      ...(await readSampleStat(database, catalog)),
      tags: presentTags(catalog).length,
      streams: catalog.streams.size,
      gaps: await countGaps(database, catalog),
      sizeBytes: database.sizeBytes(),
    }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#retention?.stop();
    await this.#writes;
    await Promise.allSettled(this.#reads);
    this.#announcer.close();
    this.#parts?.database.close();
    this.#parts = undefined;
  }

  async #write(work: (parts: Parts) => Promise<void>): Promise<void> {
    if (this.#closed) throw closedError();
    const turn = this.#writes.then(async () => {
      const parts = await this.#open();
      try {
        await work(parts);
      } catch (error) {
        await this.#discard(error);
        throw unavailable(error);
      }
    });
    this.#writes = turn.catch(() => undefined);
    await turn;
  }

  async #read<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    for (;;) {
      // After a failed write the parts are gone; opening them again is a write's turn.
      if (this.#parts === undefined) await this.#write(async () => {});
      const parts = this.#parts;
      if (parts === undefined) throw closedError();
      const dropped = this.#dropped;
      const reading = work(parts);
      this.#reads.add(reading);
      try {
        return await reading;
      } catch (error) {
        // A month that was to be read next may be gone since: asked anew, the question does without it.
        if (dropped === this.#dropped || this.#closed || isKomError(error)) throw unavailable(error);
      } finally {
        this.#reads.delete(reading);
      }
    }
  }

  async #open(): Promise<Parts> {
    this.#parts ??= await openParts(this.#options);
    return this.#parts;
  }

  /**
   * After a failed write neither the caches nor, after an error of the disk, the database itself can be
   * trusted: both are opened again. A request that we refused ourselves was rolled back whole.
   */
  async #discard(error: unknown): Promise<void> {
    if (isKomError(error)) return;
    // Whoever waits for it says so, once for all tries.
    this.#options.log.debug({ error: describeError(error) }, 'the archive is opened again');
    const parts = this.#parts;
    this.#parts = undefined;
    await Promise.allSettled(this.#reads);
    parts?.database.close();
  }
}

function closedError(): KomError {
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it is closed');
}

function unavailable(error: unknown): KomError {
  if (isKomError(error)) return error;
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', describeError(error), { cause: error });
}
