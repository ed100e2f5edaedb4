import { isKomError } from '../../domain/errors.ts';
import type { Archive, ArchivedTerm } from '../../world/archive.ts';
import type { GiverOptions } from './giver-options.ts';

/** What is asked of an archive to give to another one. */
export type GivingArchive = GiverOptions['archive'] & Pick<Archive, 'terms'>;

type Coverage = Awaited<ReturnType<Archive['coverage']>>;

/**
 * What this Kernel's archive said last, for as long as it takes nothing: there is no more in it than that. So
 * it is still known whether another Kernel has all of it, and what that one lacks is given of the ring. An
 * archive that is only slow is waited for, because there may be more in it by now; and what was written since
 * an answer is no more known than before the answer, unless the writer says what is there.
 */
export class LastKnown implements GivingArchive {
  readonly #archive: GivingArchive;
  readonly #isStuck: () => boolean;
  readonly #answers = new Map<string, unknown>();
  /** Counts what was written, so that no answer from before is kept. */
  readonly #writes = new Map<string, number>();

  /** `isStuck`: the archive takes nothing now. */
  constructor(archive: GivingArchive, isStuck: () => boolean) {
    this.#archive = archive;
    this.#isStuck = isStuck;
  }

  coverage(streamId: string): ReturnType<Archive['coverage']> {
    return this.#ask(coverageOf(streamId), () => this.#archive.coverage(streamId));
  }

  streams(site: string, process: string): ReturnType<Archive['streams']> {
    return this.#ask(streamsOf(site, process), () => this.#archive.streams(site, process));
  }

  tags(site?: string): ReturnType<Archive['tags']> {
    return this.#ask(tagsOf(site), () => this.#archive.tags(site));
  }

  terms(): ReturnType<Archive['terms']> {
    return this.#ask('terms', () => this.#archive.terms());
  }

  /** Somebody else has asked the archive, since it was written last. */
  saw(streamId: string, coverage: Coverage): void {
    this.#wrote(coverageOf(streamId));
    this.#answers.set(coverageOf(streamId), coverage);
  }

  /** There is more of these streams, and of the streams of these processes. */
  changed(
    streamIds: Iterable<string>,
    processes: Iterable<{ readonly site: string; readonly process: string }>,
  ): void {
    for (const streamId of streamIds) this.#wrote(coverageOf(streamId));
    for (const { site, process } of processes) {
      for (const key of [streamsOf(site, process), tagsOf(site), tagsOf()]) this.#wrote(key);
    }
  }

  /** There are other terms; which is not known. */
  changedTerms(): void {
    this.#wrote('terms');
  }

  /** A term is in the archive that was not. */
  raised(term: ArchivedTerm): void {
    const known = this.#answers.get('terms') as readonly ArchivedTerm[] | undefined;
    this.#wrote('terms');
    if (known === undefined) return;
    const others = known.filter((each) => each.site !== term.site || each.process !== term.process);
    this.#answers.set('terms', [...others, term]);
  }

  gaps(...asked: Parameters<Archive['gaps']>): ReturnType<Archive['gaps']> {
    return this.#archive.gaps(...asked);
  }

  entries(...asked: Parameters<Archive['entries']>): ReturnType<Archive['entries']> {
    return this.#archive.entries(...asked);
  }

  dictionary(hash: string): ReturnType<Archive['dictionary']> {
    return this.#archive.dictionary(hash);
  }

  dictionaries(): ReturnType<Archive['dictionaries']> {
    return this.#archive.dictionaries();
  }

  #wrote(key: string): void {
    this.#answers.delete(key);
    this.#writes.set(key, (this.#writes.get(key) ?? 0) + 1);
  }

  async #ask<T>(key: string, question: () => Promise<T>): Promise<T> {
    const known = (): T | undefined =>
      this.#isStuck() ? (this.#answers.get(key) as T | undefined) : undefined;
    const before = known();
    if (before !== undefined) return before;
    const writes = this.#writes.get(key);
    try {
      const answer = await question();
      if (this.#writes.get(key) === writes) this.#answers.set(key, answer);
      return answer;
    } catch (error) {
      const last = isKomError(error, 'KOM_ARCHIVE_UNAVAILABLE') ? known() : undefined;
      if (last === undefined) throw error;
      return last;
    }
  }
}

function coverageOf(streamId: string): string {
  return `coverage ${streamId}`;
}

function streamsOf(site: string, process: string): string {
  return `streams ${site} ${process}`;
}

function tagsOf(site = ''): string {
  return `tags ${site}`;
}
