import { expect, it } from 'vitest';
import { DICTIONARY, gapOf, HASH, STREAM, STREAM_2, streamOf } from '../world/archive.fixture.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { Ingest } from './ingest.ts';

async function makeIngest() {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  return { clock, archive, ingest: new Ingest({ archive, clock, log: silentLog }) };
}

it('one that speaks of a stream that nobody started spoils nothing for those grouped with it', async () => {
  const { clock, archive, ingest } = await makeIngest();
  const first = ingest.commit({ streams: [streamOf(STREAM)], bytes: 1 });
  await clock.runUntil(first);
  const good = ingest.commit({ gaps: [gapOf(1, 4)], bytes: 1 });
  const bad = ingest.commit({ observed: [{ streamId: STREAM_2, untilUs: 1 }], bytes: 1 });
  const last = ingest.commit({ gaps: [gapOf(5, 9)], bytes: 1 });
  const ends = Promise.allSettled([good, bad, last]);
  await clock.runUntil(ends);
  expect((await ends).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  await expect(bad).rejects.toMatchObject({ code: 'KOM_PROTOCOL_STATE' });
  expect(await archive.coverage(STREAM)).toMatchObject([{ first: 1, last: 9 }]);
});

it('an archive that takes nothing is waited for, and then gets each once', async () => {
  const { clock, archive, ingest } = await makeIngest();
  archive.failNext(3);
  const first = ingest.commit({ streams: [streamOf(STREAM)], gaps: [gapOf(1, 4)], bytes: 1 });
  const second = ingest.commit({ gaps: [gapOf(5, 9)], bytes: 1 });
  await clock.runUntil(Promise.all([first, second]));
  expect(await archive.coverage(STREAM)).toMatchObject([{ first: 1, last: 9 }]);
  expect(ingest.lastError).toBeNull();
});
