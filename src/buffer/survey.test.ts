import { describe, expect, test } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { exportRing } from './export.ts';
import { inspectRing } from './inspect.ts';
import { openTestRing, SMALL_DICTIONARY, smallBlocks } from './ring.fixture.ts';
import { verifyRing } from './verify.ts';

const BLOCK_SAMPLES = 400;
const SAMPLES = 80 * BLOCK_SAMPLES;

/** A ring at rest with some segments, each of which has the dictionary. */
async function ringAtRest() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(3);
  const disk = new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random });
  await ring.putDictionary(SMALL_DICTIONARY);
  for (const block of smallBlocks(ring, 1, SAMPLES, BLOCK_SAMPLES)) await ring.append([block]);
  const { segments } = ring.facts();
  expect(segments.length).toBeGreaterThanOrEqual(3);
  await ring.close();
  const names = (await disk.list()).filter((name) => name.startsWith('segment-'));
  return { clock, random, disk, first: names[0] ?? '', open: names.at(-1) ?? '', segments };
}

/** What is told of a ring at rest: samples exported, and what verify and export say is wrong. */
async function lookedAt(disk: SimulatedDisk) {
  await using inspection = await inspectRing(disk);
  let samples = 0;
  const unreadable: string[] = [];
  for await (const row of exportRing(inspection)) {
    if (row.kind === 'sample') samples += 1;
    if (row.kind === 'unreadable') unreadable.push(row.segment);
  }
  const problems: (string | null)[] = [];
  for await (const { segment } of verifyRing(inspection)) problems.push(segment);
  return { samples, unreadable, problems, facts: await inspection.facts() };
}

describe('a damaged ring at rest', () => {
  test('tells of a meta database that does not open, and of everything that the segments have', async () => {
    for (const how of ['damaged', 'deleted'] as const) {
      const { disk } = await ringAtRest();
      if (how === 'damaged') disk.damage('meta', 'beyond-repair');
      else await disk.remove('meta');
      const { samples, unreadable, problems, facts } = await lookedAt(disk);
      expect(samples).toBe(SAMPLES);
      expect(unreadable).toEqual(['meta']);
      expect(problems).toEqual(['meta']);
      expect(facts.streams.map(({ durableThrough }) => durableThrough)).toEqual([SAMPLES]);
    }
  });

  test('tells of an open segment that does not open, and of all others', async () => {
    const { disk, open, segments } = await ringAtRest();
    disk.damage(open, 'repairable');
    const { samples, unreadable, problems } = await lookedAt(disk);
    expect(samples).toBe(SAMPLES - (segments.at(-1)?.samples ?? 0));
    expect(unreadable).toEqual([open]);
    expect(problems[0]).toBe(open);
  });

  test('finds dictionaries in other segments than one that does not open', async () => {
    const { disk, first, segments } = await ringAtRest();
    disk.damage(first, 'beyond-repair');
    const { samples, unreadable, problems } = await lookedAt(disk);
    expect(samples).toBe(SAMPLES - (segments[0]?.samples ?? 0));
    expect(unreadable).toEqual([first]);
    expect(problems.filter((segment) => segment !== null)).toEqual([first]);
  });

  test('without meta, too, one segment that does not open costs no other', async () => {
    const { disk, first, segments } = await ringAtRest();
    await disk.remove('meta');
    disk.damage(first, 'beyond-repair');
    const { samples, unreadable } = await lookedAt(disk);
    expect(samples).toBe(SAMPLES - (segments[0]?.samples ?? 0));
    expect(unreadable).toEqual(['meta', first]);
  });

  test('has the segments that its meta forgot, those that a start would take in', async () => {
    const { clock, random, disk, first } = await ringAtRest();
    const old = disk.image();
    await disk.rename(first, 'aside/copy');
    await (await openTestRing(disk, { clock, random })).close();
    await disk.rename('aside/copy', first);
    expect(await lookedAt(disk)).toMatchObject({
      samples: SAMPLES,
      unreadable: ['meta'],
      problems: ['meta'],
    });

    disk.restore(old);
    const twice = 'segment-0000000099';
    await disk.rename(first, twice);
    await (await openTestRing(disk, { clock, random })).close();
    const store = await disk.open(first);
    const copied = await disk.open(twice);
    for (const { key, value } of await copied.read({})) {
      await store.batch([{ type: 'put', key, value }], { sync: true });
    }
    await copied.close();
    await store.close();
    const { samples, problems } = await lookedAt(disk);
    expect(samples).toBe(SAMPLES);
    expect(problems).toContain(first);
  });

  test('of which nothing opens says why', async () => {
    const { disk } = await ringAtRest();
    for (const name of await disk.list()) disk.damage(name, 'beyond-repair');
    await expect(inspectRing(disk)).rejects.toMatchObject({ code: 'KOM_STORE_OPEN' });
  });
});
