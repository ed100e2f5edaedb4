import { expect, it } from 'vitest';
import { KomError } from '../domain/errors.ts';
import { DICTIONARY, HASH, STREAM, streamOf } from '../world/archive.fixture.ts';
import { keptLines } from '../world/log.fixture.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { Ingest } from './ingest.ts';
import { OutageLog } from './outage-log.ts';

it('an outage of two minutes is four lines, and the next one begins anew', async () => {
  const [clock, { lines, log }] = [new SimulatedClock(), keptLines()];
  const outage = new OutageLog({ clock, log, what: 'the archive' });
  outage.well();
  for (let second = 0; second < 130; second++) {
    outage.failed(new KomError('KOM_ARCHIVE_UNAVAILABLE', `try ${second}`));
    await clock.advance(1000);
  }
  expect(outage.reason).toBe('try 129');
  outage.well();
  outage.well();
  expect(lines).toEqual([
    ['error', 'the archive takes nothing; agents wait and keep their backlog', { error: 'try 0' }],
    ['error', 'the archive still takes nothing', { error: 'try 60', refusals: 61, seconds: 60 }],
    ['error', 'the archive still takes nothing', { error: 'try 120', refusals: 121, seconds: 120 }],
    ['warn', 'the archive takes what comes again', { refusals: 130, seconds: 130 }],
  ]);
  expect(outage.reason).toBeNull();
  outage.failed(new Error('another'));
  expect(lines.at(-1)?.[2]).toEqual({ error: 'another' });
});

it.each([null, 'it has said so'])('transactions that are refused are two lines (%s)', async (lastError) => {
  const [clock, { lines, log }] = [new SimulatedClock(), keptLines()];
  const archive = new SimulatedArchive();
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  if (lastError !== null) Object.defineProperty(archive, 'lastError', { value: lastError });
  const ingest = new Ingest({ archive, clock, log });
  archive.failNext(45);
  await clock.runUntil(ingest.commit({ streams: [streamOf(STREAM)], bytes: 1 }));
  expect(lines.map(([level]) => level)).toEqual(lastError === null ? ['error', 'warn'] : []);
  expect(ingest.lastError).toBeNull();
});
