import type { ForwardedBlock } from '../buffer/forward-segment.ts';
import { splitBlock } from '../domain/block/split.ts';
import { isKomError, reasonOf } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { Archive, ArchiveTransaction } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { type ArchiveRefusal, type ArchiveTrouble, troubleOf } from './archive-refusal.ts';
import { clockFixesIn, withClockMark } from './clock-marks.ts';
import { OutageLog } from './outage-log.ts';
import { withPatience } from './patience.ts';

/**
 * Entries in one transaction, and where the block on the border is cut: two row groups of DuckDB. One that is
 * full is written once and for good; a rest would be compressed again with the next ones. More at once would
 * hold up the live values, less would wait longer for the disk than for the processor.
 */
const TRANSACTION_ENTRIES_MAX = 245_760;
/** Behind a transaction of more entries the event loop turns. */
const TURN_ENTRIES = 32_768;
/** Bytes of blocks (as they came) in one transaction; more waits for the next. */
const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;
/** Small transactions begin at most this often; what comes meanwhile goes into one. */
const GROUP_MS = 100;
/** From this size a transaction does not wait for company. */
const GROUP_BYTES = 512 * 1024;

/** A piece of a transaction. */
export interface Contribution {
  readonly streams?: ArchiveTransaction['streams'];
  readonly blocks?: ArchiveTransaction['blocks'];
  /** The blocks as they came, where other Kernels are to get them. */
  readonly raw?: readonly ForwardedBlock[];
  readonly gaps?: readonly SequenceGap[];
  readonly observed?: ArchiveTransaction['observed'];
  readonly ended?: ArchiveTransaction['ended'];
  /** Another Kernel gave it: the gaps in it were declared there. */
  readonly isForwarded?: true;
  /** Bytes as received; for the bound of a transaction. */
  readonly bytes: number;
}

/** Who hands on what comes into the archive. */
export interface IngestWatcher {
  /** Durable before the transaction that stores it. @throws KomError KOM_ARCHIVE_UNAVAILABLE: later */
  record(blocks: readonly ForwardedBlock[]): Promise<void>;
  /** It is in the archive, and nobody has been told yet. `declared`: its gaps that no other Kernel gave. */
  committed(transaction: ArchiveTransaction, declared: readonly SequenceGap[]): void;
}

interface Waiting {
  readonly contribution: Contribution;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Groups what all sessions bring into few transactions of the archive, in order of arrival. An archive that
 * takes nothing is tried again for as long as it needs: nobody is acknowledged, so the agents wait. The
 * queue is bounded by the sessions, each of which waits for what it brought.
 */
export class Ingest {
  readonly #archive: Archive;
  readonly #clock: Clock;
  readonly #outage: OutageLog;
  readonly #watcher: IngestWatcher | undefined;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  #lastCommitMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #refused: ArchiveRefusal | null = null;

  constructor(options: { archive: Archive; clock: Clock; log: Log; watcher?: IngestWatcher }) {
    this.#watcher = options.watcher;
    this.#archive = options.archive;
    this.#clock = options.clock;
    this.#outage = new OutageLog({ clock: options.clock, log: options.log, what: 'the archive' });
  }

  /** Why the archive takes nothing now; `null` while it does. */
  get lastError(): string | null {
    return this.#refused?.error ?? null;
  }

  /** The same, and for how long, milliseconds; `null` while it does. */
  get trouble(): ArchiveTrouble | null {
    return troubleOf(this.#refused, this.#clock);
  }

  /** Nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.#running === null;
  }

  /**
   * Resolves when it is durable in the archive. @throws KomError KOM_ARCHIVE_UNAVAILABLE only when closed
   * first
   */
  commit(contribution: Contribution): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ contribution, resolve, reject });
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return promise;
  }

  /** Finishes what waits, each piece with one try: an archive that takes nothing now rejects it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#company();
      const group = this.#takeGroup();
      await this.#settle(group);
      // Whoever waited now acknowledges and takes over the present values: that is not to be one long turn
      // of the event loop with the beginning of the next transaction.
      if (entriesIn(group) > TURN_ENTRIES) await this.#clock.sleep(0);
    }
  }

  /** One that the archive does not understand spoils nothing for those that it was grouped with. */
  async #settle(group: readonly Waiting[]): Promise<void> {
    try {
      await this.#commitGroup(group);
      for (const { resolve } of group) resolve();
    } catch (error) {
      if (group.length > 1 && !isKomError(error, 'KOM_ARCHIVE_UNAVAILABLE')) {
        for (const each of group) await this.#settle([each]);
        return;
      }
      for (const { reject } of group) reject(error);
    }
  }

  async #company(): Promise<void> {
    const bytes = this.#waiting.reduce((sum, { contribution }) => sum + contribution.bytes, 0);
    const waitMs = this.#lastCommitMs + GROUP_MS - this.#clock.monotonicMs();
    if (waitMs > 0 && bytes < GROUP_BYTES && !this.#isClosed) await this.#clock.sleep(waitMs);
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let entries = 0;
    let count = 0;
    for (const { contribution } of this.#waiting) {
      bytes += contribution.bytes;
      if (count > 0 && (bytes > TRANSACTION_BYTES_MAX || entries >= TRANSACTION_ENTRIES_MAX)) break;
      entries += entriesOf(contribution);
      count++;
    }
    const group = this.#waiting.splice(0, count);
    const last = group.at(-1);
    if (last === undefined || entries <= TRANSACTION_ENTRIES_MAX) return group;
    const cut = cutContribution(last.contribution, entries - TRANSACTION_ENTRIES_MAX);
    if (cut === null) return group;
    // What is cut off goes first in the next one, and is what answers.
    this.#waiting.unshift({ ...last, contribution: cut.rest });
    return [...group.slice(0, -1), { contribution: cut.first, resolve() {}, reject() {} }];
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const all = group.map(({ contribution }) => contribution);
    const blocks = all.flatMap((each) => each.blocks ?? []);
    const transaction: ArchiveTransaction = {
      streams: all.flatMap((each) => each.streams ?? []),
      blocks: blocks.map(withClockMark),
      clockFixes: await clockFixesIn(blocks, this.#archive),
      gaps: all.flatMap((each) => each.gaps ?? []),
      observed: all.flatMap((each) => each.observed ?? []),
      ended: all.flatMap((each) => each.ended ?? []),
      receivedAtUs: this.#clock.wallUs(),
    };
    const raw = all.flatMap((each) => each.raw ?? []);
    const store = async (): Promise<void> => {
      if (raw.length > 0) await this.#watcher?.record(raw);
      await this.#archive.commit(transaction);
    };
    await withPatience(store, {
      clock: this.#clock,
      isOver: () => this.#isClosed,
      refused: (error) => {
        const sinceMs = this.#refused?.sinceMs ?? this.#clock.monotonicMs();
        this.#refused = { error: reasonOf(error), sinceMs };
        // An archive that has noticed it has said it.
        if ((this.#archive.lastError ?? null) === null) this.#outage.failed(error);
      },
    });
    const declared = all.flatMap(({ isForwarded, gaps = [] }) => (isForwarded === true ? [] : gaps));
    this.#watcher?.committed(transaction, declared);
    this.#lastCommitMs = this.#clock.monotonicMs();
    this.#refused = null;
    this.#outage.well();
  }
}

function entriesIn(group: readonly Waiting[]): number {
  return group.reduce((sum, { contribution }) => sum + entriesOf(contribution), 0);
}

function entriesOf({ blocks = [] }: Contribution): number {
  return blocks.reduce((sum, { block }) => sum + block.header.count, 0);
}

/** A contribution of one block without its last entries, and these; `null` if it is not one to be cut. */
function cutContribution(
  { blocks = [], ...others }: Contribution,
  restEntries: number,
): { readonly first: Contribution; readonly rest: Contribution } | null {
  const [only, another] = blocks;
  if (only === undefined || another !== undefined) return null;
  const count = only.block.header.count - restEntries;
  if (count <= 0) return null;
  const [first, rest] = splitBlock(only.block, count);
  const bytes = Math.round((others.bytes * restEntries) / only.block.header.count);
  return {
    first: { blocks: [{ ...only, block: first }], raw: others.raw ?? [], bytes: others.bytes - bytes },
    rest: { ...others, blocks: [{ ...only, block: rest }], bytes },
  };
}
