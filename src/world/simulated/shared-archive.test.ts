import { expect, it } from 'vitest';
import { sharedArchiveContract } from '../shared-archive.contract.ts';
import { SimulatedClock } from './clock.ts';
import { SimulatedSharedArchive } from './shared-archive.ts';

sharedArchiveContract('simulated', async () => {
  const archive = new SimulatedSharedArchive(new SimulatedClock());
  return {
    shared: () => archive,
    vanish: async (name) => archive.vanish(name),
    dispose: () => archive.stored.close(),
  };
});

it('one that is read-only answers questions and refuses all else', async () => {
  const archive = new SimulatedSharedArchive(new SimulatedClock());
  const session = await archive.openSession('A');
  const epoch = await session.claim(0);
  const ruled = await archive.rule({ epoch: epoch ?? 0, signal: new AbortController().signal });
  archive.isReadOnly = true;
  expect(await session.look()).toMatchObject({ epoch: 1, holder: 'self' });
  expect(await ruled.terms()).toEqual([]);
  const refused = { code: 'KOM_ARCHIVE_UNAVAILABLE' };
  await expect(ruled.raiseKernelEpoch(2)).rejects.toMatchObject(refused);
  await expect(session.hand('B')).rejects.toMatchObject(refused);
  await expect(session.depose()).rejects.toMatchObject(refused);
  await expect(archive.openSession('B')).rejects.toMatchObject(refused);
});
