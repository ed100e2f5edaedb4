import type { SideStore } from '../world/side-store.ts';
import type { Store } from '../world/store.ts';

/** Entries that are kept; the oldest goes first. */
const AUDIT_ENTRIES_MAX = 5000;
/** Characters of one text in an entry; more is cut off. */
const TEXT_CHARACTERS_MAX = 500;
const READ_BYTES = 64 * 1024 * 1024;
const KEY_DIGITS = 12;

/** What somebody asked for, and what became of it. */
export interface AuditEntry {
  /** 32 hexadecimal digits. */
  readonly commandId: string;
  readonly atUs: number;
  /** `agent`: given at its own control socket; `kernel`: came from a Kernel, or was given there. */
  readonly way: 'agent' | 'kernel';
  readonly operator: string;
  readonly host: string;
  /** Process that it concerned. */
  readonly process: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly outcome: string;
  readonly text: string;
}

/**
 * The audit: who asked for what, when, and what came of it. Bounded, durable, in the database `notes` beside
 * what it is about. Keys are `audit/<number>` and `seen/<command id>`.
 */
export class Audit {
  readonly #store: SideStore;
  readonly #entriesMax: number;

  constructor(notes: SideStore, entriesMax: number = AUDIT_ENTRIES_MAX) {
    this.#entriesMax = entriesMax;
    this.#store = notes;
  }

  /** Durable when it resolves. @throws KomError KOM_STORE_OPEN, KOM_STORE_WRITE */
  write(entry: AuditEntry): Promise<void> {
    return this.#store.use(async (store) => {
      const last = await numberAt(store, true);
      const first = await numberAt(store, false);
      const number = (last ?? 0) + 1;
      const key = keyOf(number);
      const text = entry.text.slice(0, TEXT_CHARACTERS_MAX);
      const value = Buffer.from(JSON.stringify({ ...entry, text }));
      const surplus = first === null || number - first < this.#entriesMax ? [] : [first];
      const dropped = await Promise.all(surplus.map((each) => entryAt(store, each)));
      await store.batch(
        [
          { type: 'put', key, value },
          { type: 'put', key: seenKey(entry.commandId), value: Buffer.from(String(number)) },
          ...surplus.map((each) => ({ type: 'delete', key: keyOf(each) }) as const),
          ...dropped.flatMap((each) =>
            each === undefined ? [] : [{ type: 'delete', key: seenKey(each.commandId) } as const],
          ),
        ],
        { sync: true },
      );
    });
  }

  /** The last `limit` entries, the newest last. @throws KomError KOM_STORE_OPEN, KOM_STORE_READ */
  read(limit: number): Promise<AuditEntry[]> {
    return this.#store.look([], async (store) => {
      const records = await store.read({ ...AUDIT_RANGE, reverse: true, limit, limitBytes: READ_BYTES });
      return records
        .map(({ value }) => JSON.parse(Buffer.from(value).toString('utf8')) as AuditEntry)
        .reverse();
    });
  }

  /** The entry of a command that was answered before, if it is still kept. */
  find(commandId: string): Promise<AuditEntry | undefined> {
    return this.#store.look(undefined, async (store) => {
      const number = await store.get(seenKey(commandId));
      return number === undefined ? undefined : await entryAt(store, Number(Buffer.from(number).toString()));
    });
  }
}

const AUDIT_RANGE = { gte: Buffer.from('audit/'), lt: Buffer.from('audit0') };

async function numberAt(store: Store, newest: boolean): Promise<number | null> {
  const [record] = await store.read({ ...AUDIT_RANGE, reverse: newest, limit: 1 });
  return record === undefined ? null : Number(Buffer.from(record.key).toString().slice('audit/'.length));
}

async function entryAt(store: Store, number: number): Promise<AuditEntry | undefined> {
  const value = await store.get(keyOf(number));
  return value === undefined ? undefined : (JSON.parse(Buffer.from(value).toString('utf8')) as AuditEntry);
}

function keyOf(number: number): Uint8Array {
  return Buffer.from(`audit/${String(number).padStart(KEY_DIGITS, '0')}`);
}

function seenKey(commandId: string): Uint8Array {
  return Buffer.from(`seen/${commandId}`);
}
