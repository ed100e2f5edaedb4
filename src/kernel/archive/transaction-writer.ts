import type { Catalog } from './catalog.ts';
import type { Database } from './duckdb.ts';
import type { RegisterWork } from './register-work.ts';
import type { TagIds } from './tag-ids.ts';

export interface CommitContext {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly tagIds: TagIds;
}

/** What the parts of one transaction write from. */
export interface TransactionWriter extends CommitContext, RegisterWork {
  readonly catalog: Catalog;
  /** Tables of samples, with those that this transaction has made. */
  readonly tables: Set<string>;
}
