import { expect, it } from 'vitest';
import type { Coverage } from '../../domain/coverage.ts';
import { KomError } from '../../domain/errors.ts';
import type { ArchivedTerm } from '../../world/archive.ts';
import { type GivingArchive, LastKnown } from './last-known.ts';

const upTo = (last: number): Coverage => [{ first: 1, last, state: 'data' }];

function made() {
  const archive = {
    isStuck: false,
    answer: async (): Promise<Coverage> => upTo(1),
    terms: [] as ArchivedTerm[],
  };
  const asked = {
    coverage: () => archive.answer(),
    terms: async () => archive.terms,
  } as unknown as GivingArchive;
  return { archive, known: new LastKnown(asked, () => archive.isStuck) };
}

/** It takes nothing, and does not answer. */
function stop(archive: ReturnType<typeof made>['archive']): void {
  archive.isStuck = true;
  archive.answer = () => Promise.reject(new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it was stopped'));
}

it('what an archive said last, to whomever, is told while it takes nothing', async () => {
  const { archive, known } = made();
  expect(await known.coverage('s')).toEqual(upTo(1));
  stop(archive);
  expect(await known.coverage('s')).toEqual(upTo(1));
  known.saw('s', upTo(2));
  expect(await known.coverage('s')).toEqual(upTo(2));
  await expect(known.coverage('of which nothing is known')).rejects.toThrow('it was stopped');
  archive.isStuck = false;
  archive.answer = async () => upTo(3);
  expect(await known.coverage('s')).toEqual(upTo(3));
});

it('an archive that does not answer, and may take something, is not answered for', async () => {
  const { archive, known } = made();
  await known.coverage('s');
  archive.answer = () => Promise.reject(new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it is slow'));
  await expect(known.coverage('s')).rejects.toThrow('it is slow');
});

it('what was written since an answer is not known from it, be it on its way or not', async () => {
  const { archive, known } = made();
  await known.coverage('s');
  known.changed(['s'], []);
  const { promise, resolve } = Promise.withResolvers<Coverage>();
  archive.answer = () => promise;
  const asked = known.coverage('t');
  known.saw('t', upTo(9));
  resolve(upTo(8));
  expect(await asked).toEqual(upTo(8));
  stop(archive);
  await expect(known.coverage('s')).rejects.toThrow('it was stopped');
  expect(await known.coverage('t')).toEqual(upTo(9));
});

it('a term that was raised since is among those that are known', async () => {
  const { archive, known } = made();
  const term = { site: 'S', process: 'P', term: 41, holder: 1 };
  archive.terms = [term];
  await known.terms();
  stop(archive);
  known.raised({ ...term, term: 57, holder: 2 });
  expect(await known.terms()).toEqual([{ ...term, term: 57, holder: 2 }]);
  known.changedTerms();
  archive.terms = [];
  expect(await known.terms()).toEqual([]);
});
