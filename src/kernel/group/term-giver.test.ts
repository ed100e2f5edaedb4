import { expect, it } from 'vitest';
import { termOf } from '../../domain/term.ts';
import type { Message } from '../../uplink/messages.ts';
import type { ArchivedTerm } from '../../world/archive.ts';
import { silentLog } from '../../world/log.ts';
import { SimulatedArchive } from '../../world/simulated/archive.ts';
import { TermGiver } from './term-giver.ts';

const FIRST = { site: 'S', process: 'P', term: termOf(1, { instance: 1, by: 'kernel' }), holder: 1 };
const SECOND = { ...FIRST, term: termOf(2, { instance: 1, by: 'kernel' }), holder: 2 };

/** A giver that is connected, and what it says. */
function makeGiver(archive: Pick<SimulatedArchive, 'terms'>, gives = () => true) {
  const said: ArchivedTerm[] = [];
  const answer = (message: Message): void => {
    if (message.type === 'forwardTerms') said.push(...message.terms);
  };
  const giver = new TermGiver({ archive, gives, told: () => {}, log: silentLog });
  giver.opened({ answer });
  return { giver, said };
}

const soon = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

it('tells the terms of the archive, then each new one, and knows what the other one has', async () => {
  const archive = new SimulatedArchive();
  await archive.raiseTerm(FIRST);
  const { giver, said } = makeGiver(archive);
  await soon();
  expect(said).toEqual([FIRST]);
  expect(giver.isTold).toBe(false);
  giver.take([FIRST]);
  expect(giver.isTold).toBe(true);
  giver.give(SECOND);
  expect([giver.isTold, giver.has(FIRST), giver.has(SECOND)]).toEqual([false, true, false]);
  giver.take([SECOND]);
  expect([giver.isTold, giver.has(SECOND)]).toEqual([true, true]);
  giver.closed();
  expect([giver.isTold, giver.has(FIRST)]).toEqual([false, false]);
});

it('tells a term that the archive got while it was read', async () => {
  const archive = new SimulatedArchive();
  const slow = Promise.withResolvers<void>();
  const terms = async (): Promise<ArchivedTerm[]> => {
    const read = await archive.terms();
    await slow.promise;
    return read;
  };
  const { giver, said } = makeGiver({ terms });
  await archive.raiseTerm(FIRST);
  giver.give(FIRST);
  slow.resolve();
  await soon();
  expect(said).toEqual([FIRST]);
});

it('a standby tells another one nothing, and tells the hot one as soon as there is one', async () => {
  const archive = new SimulatedArchive();
  await archive.raiseTerm(FIRST);
  let isHot = false;
  const { giver, said } = makeGiver(archive, () => isHot);
  await soon();
  expect(said).toEqual([]);
  isHot = true;
  giver.relist();
  await soon();
  expect(said).toEqual([FIRST]);
});
