import { describeError } from '../../domain/errors.ts';
import { NO_TERM, type Term } from '../../domain/term.ts';
import { TERMS_MAX } from '../../uplink/limits.ts';
import type { Message } from '../../uplink/messages.ts';
import type { Archive, ArchivedTerm } from '../../world/archive.ts';
import type { Log } from '../../world/log.ts';

/** The connection that terms are told over: they are small, and wait for nothing. */
export interface TermPort {
  answer(message: Message): void;
}

export interface TermGiverOptions {
  readonly archive: Pick<Archive, 'terms'>;
  /** Whether this Kernel tells that one anything: a standby tells the hot one only. */
  readonly gives: () => boolean;
  /** The other archive has more terms than was known. */
  readonly told: () => void;
  readonly log: Log;
}

/**
 * Tells another Kernel the last term of each process, and knows which of them that one has: whoever becomes
 * hot next has to grant higher ones.
 */
export class TermGiver {
  readonly #options: TermGiverOptions;
  #port: TermPort | null = null;
  readonly #theirs = new Map<string, Term>();
  /** What was told over this connection; `null`: the archive was not read yet. */
  #given: ArchivedTerm[] | null = null;
  #isLoading = false;
  /** The archive got one while it was read. */
  #isMissed = false;

  constructor(options: TermGiverOptions) {
    this.#options = options;
  }

  /** The other one has every term that this archive had when the connection began, and each since. */
  get isTold(): boolean {
    return this.#port !== null && this.#given?.every((term) => this.has(term)) === true;
  }

  has({ site, process, term }: ArchivedTerm): boolean {
    return (this.#theirs.get(keyOf(site, process)) ?? NO_TERM) >= term;
  }

  opened(port: TermPort): void {
    this.#port = port;
    this.relist();
  }

  closed(): void {
    this.#port = null;
    this.relist();
  }

  /** Tells everything anew: who is hot has changed, or the connection. */
  relist(): void {
    this.#theirs.clear();
    this.#given = null;
    this.look();
  }

  /** The archive has one more. */
  give(term: ArchivedTerm): void {
    if (this.#given === null) {
      this.#isMissed = true;
      return;
    }
    this.#given = this.#given.filter((each) => each.site !== term.site || each.process !== term.process);
    this.#given.push(term);
    this.#say([term]);
  }

  /** Asks an archive again that did not tell its terms; to be called again and again. */
  look(): void {
    const { archive, gives, log } = this.#options;
    const port = this.#port;
    if (this.#given !== null || this.#isLoading || port === null || !gives()) return;
    this.#isLoading = true;
    this.#isMissed = false;
    archive
      .terms()
      .then((terms) => this.#loaded(port, terms))
      .catch((error: unknown) =>
        log.debug({ error: describeError(error) }, 'telling terms waits for the archive'),
      )
      .finally(() => {
        this.#isLoading = false;
        if (this.#isMissed) this.look();
      });
  }

  /** What the taker says that its archive has. */
  take(terms: readonly ArchivedTerm[]): void {
    for (const { site, process, term } of terms) {
      const key = keyOf(site, process);
      this.#theirs.set(key, Math.max(term, this.#theirs.get(key) ?? NO_TERM));
    }
    this.#options.told();
  }

  #loaded(port: TermPort, terms: readonly ArchivedTerm[]): void {
    // What came meanwhile is read again.
    if (this.#port !== port || this.#given !== null || this.#isMissed) return;
    this.#given = [...terms];
    for (let at = 0; at < terms.length; at += TERMS_MAX) this.#say(terms.slice(at, at + TERMS_MAX));
    this.#options.told();
  }

  #say(terms: readonly ArchivedTerm[]): void {
    this.#port?.answer({ type: 'forwardTerms', terms });
  }
}

function keyOf(site: string, process: string): string {
  return `${site}\n${process}`;
}
