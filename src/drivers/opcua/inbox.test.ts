import { expect, test } from 'vitest';
import { Quality } from '../../domain/quality.ts';
import type { Reading } from '../../domain/sample.ts';
import type { LinkBatch } from '../driver.ts';
import { Inbox } from './inbox.ts';

function reading(tagIndex: number, sourceTimeUs: number): Reading {
  return { tagIndex, sourceTimeUs, value: sourceTimeUs, quality: Quality.good };
}

async function drain(inbox: Inbox): Promise<LinkBatch[]> {
  inbox.fail(new Error('end'));
  const batches: LinkBatch[] = [];
  await expect(
    (async () => {
      for await (const batch of inbox) batches.push(batch);
    })(),
  ).rejects.toThrow('end');
  return batches;
}

test('batches come out in order, and what waits comes before the failure', async () => {
  const inbox = new Inbox(2);
  inbox.put({ station: 'A', readings: [reading(0, 1)] });
  inbox.put({ station: 'B', readings: [reading(1, 2)] });
  inbox.put({ station: 'A', readings: [reading(0, 3)] });
  const batches = await drain(inbox);
  expect(batches.map((batch) => [batch.station, batch.readings[0]?.sourceTimeUs])).toEqual([
    ['A', 1],
    ['B', 2],
    ['A', 3],
  ]);
});

test('keep-alives that nobody pulls do not pile up', async () => {
  const inbox = new Inbox(1);
  for (let time = 1; time <= 1000; time += 1)
    inbox.put({ station: 'A', readings: [], unchangedUntilUs: time });
  expect(await drain(inbox)).toEqual([{ station: 'A', readings: [], unchangedUntilUs: 1000 }]);
});

test('at the bound only the newest of each tag stays, and the rest is unseen', async () => {
  const inbox = new Inbox(2);
  const taken = inbox[Symbol.asyncIterator]();
  inbox.put({ station: 'A', readings: [reading(0, 10)] });
  await taken.next();
  for (let time = 11; time <= 30_000; time += 1) inbox.put({ station: 'A', readings: [reading(0, time)] });
  inbox.put({ station: 'A', readings: [reading(1, 30_001)] });
  const batches = await drain(inbox);
  const waiting = batches.flatMap((batch) => batch.readings);
  expect(waiting.length).toBeLessThan(20_001);
  expect(waiting.at(-2)).toEqual(reading(0, 30_000));
  expect(waiting.at(-1)).toEqual(reading(1, 30_001));
  const unseen = batches.flatMap((batch) => batch.unseen ?? []);
  // One interval from the last pulled value to the oldest that is left: nothing between is left out.
  expect(unseen).toHaveLength(1);
  expect(unseen[0]).toMatchObject({ tagIndexes: [0], fromUs: 10, toUs: waiting[0]?.sourceTimeUs });
});

test('closing ends the iteration at once, also one that is waiting', async () => {
  const inbox = new Inbox(1);
  const iterator = inbox[Symbol.asyncIterator]();
  const next = iterator.next();
  await Promise.resolve();
  inbox.put({ station: 'A', readings: [reading(0, 1)] });
  expect((await next).value).toMatchObject({ station: 'A' });
  const waiting = iterator.next();
  await Promise.resolve();
  inbox.close();
  expect(await waiting).toEqual({ done: true, value: undefined });
});
