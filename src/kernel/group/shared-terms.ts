import { KomError } from '../../domain/errors.ts';
import type { Archive, ArchivedTerm } from '../../world/archive.ts';
import type { Others } from './others.ts';

export interface SharedTermsOptions {
  readonly others: Others;
  /** The Kernels that have to have what is acknowledged, and what is granted. */
  readonly waits: () => ReadonlySet<string>;
}

interface Waiting {
  readonly term: ArchivedTerm;
  readonly resolve: () => void;
  readonly reject: (error: KomError) => void;
}

/**
 * Terms that this Kernel is about to grant, until those have them for whom acknowledgements wait: whichever
 * of these is hot next knows that they were given.
 */
export class SharedTerms {
  readonly #options: SharedTermsOptions;
  #waiting: Waiting[] = [];

  constructor(options: SharedTermsOptions) {
    this.#options = options;
  }

  /** @throws KomError KOM_KERNEL_STANDBY: it is hot no more, and grants nothing */
  async share(term: ArchivedTerm): Promise<void> {
    for (const { terms } of this.#options.others.values()) terms.give(term);
    if (this.#isShared(term)) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ term, resolve, reject });
    });
  }

  /** Somebody has more, or fewer are waited for. */
  look(): void {
    const shared = this.#waiting.filter(({ term }) => this.#isShared(term));
    this.#waiting = this.#waiting.filter((each) => !shared.includes(each));
    for (const { resolve } of shared) resolve();
  }

  #isShared(term: ArchivedTerm): boolean {
    const { others, waits } = this.#options;
    return [...waits()].every((name) => others.get(name)?.terms.has(term) !== false);
  }

  /** It is hot no more. */
  end(): void {
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new KomError('KOM_KERNEL_STANDBY', 'another Kernel is hot'));
    }
  }
}

/** A Kernel among several, or alone. */
interface Granting {
  checkTakes(): void;
  share(term: ArchivedTerm): Promise<void>;
}

/** The archive of terms as a Kernel grants them: what it has raised all have who need it. */
export function sharedTerms(
  archive: Archive,
  group: () => Granting | null,
): Pick<Archive, 'terms' | 'raiseTerm'> {
  return {
    terms: () => archive.terms(),
    raiseTerm: async (term) => {
      group()?.checkTakes();
      await archive.raiseTerm(term);
      await group()?.share(term);
    },
  };
}
