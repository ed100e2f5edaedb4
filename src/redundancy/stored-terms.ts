import { describeError } from '../domain/errors.ts';
import type { Preference } from '../domain/lease.ts';
import { NO_TERM, type Term } from '../domain/term.ts';
import type { Log } from '../world/log.ts';
import type { SideStore } from '../world/side-store.ts';
import type { TermNotes } from './ports.ts';

const TERM_KEY = Buffer.from('highest-term');
const PREFERENCE_KEY = Buffer.from('preferred-instance');

/** Terms and an operator's preference, durable beside the ring. */
export class StoredTerms implements TermNotes {
  readonly #notes: SideStore;
  #highest: Term = NO_TERM;
  #preferred: Preference | null = null;

  private constructor(notes: SideStore) {
    this.#notes = notes;
  }

  /** A disk that tells nothing is told to the log; the instance then starts as one that never ran. */
  static async load(notes: SideStore, log: Log): Promise<StoredTerms> {
    const terms = new StoredTerms(notes);
    try {
      await notes.look(undefined, async (store) => {
        terms.#highest = termIn(await store.get(TERM_KEY));
        terms.#preferred = preferenceIn(await store.get(PREFERENCE_KEY));
      });
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the terms of this instance are not known');
    }
    return terms;
  }

  get highest(): Term {
    return this.#highest;
  }

  get preferred(): Preference | null {
    return this.#preferred;
  }

  async raise(term: Term): Promise<void> {
    if (term <= this.#highest) return;
    await this.#put(TERM_KEY, String(term));
    this.#highest = Math.max(this.#highest, term);
  }

  async prefer(preference: Preference): Promise<void> {
    await this.#put(PREFERENCE_KEY, `${preference.instance} ${preference.setAtUs}`);
    this.#preferred = preference;
  }

  #put(key: Uint8Array, text: string): Promise<void> {
    return this.#notes.use((store) =>
      store.batch([{ type: 'put', key, value: Buffer.from(text) }], { sync: true }),
    );
  }
}

function termIn(value: Uint8Array | undefined): Term {
  const term = value === undefined ? NO_TERM : Number(Buffer.from(value).toString());
  return Number.isSafeInteger(term) && term > 0 ? term : NO_TERM;
}

function preferenceIn(value: Uint8Array | undefined): Preference | null {
  if (value === undefined) return null;
  const [instance = Number.NaN, setAtUs = Number.NaN] = Buffer.from(value).toString().split(' ').map(Number);
  return Number.isSafeInteger(instance) && Number.isSafeInteger(setAtUs) ? { instance, setAtUs } : null;
}
