import { describe, expect, it } from 'vitest';
import { contiguousEnd, countOf, dataOf } from '../src/domain/coverage.ts';
import { groupAlarms } from '../src/kernel/alarms.ts';
import { KernelsWorld, type Name, type WorldOptions } from './kernels/kernels-world.ts';

/** A standby that refuses some of what it is given: of a format that its version does not know. */

/** Kernels that run, of which B refuses every third block of those that begin before a number. */
async function refusing(options: WorldOptions = {}): Promise<KernelsWorld> {
  const world = new KernelsWorld(options);
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  await world.until('the set', () => world.status('A').inSync.length === world.names.length);
  let given = 0;
  const refused = new Set<number>();
  world.refuses = (to, { firstSequence, count }) => {
    if (to !== 'B') return false;
    if (++given % 3 === 0) for (let at = 0; at < count; at++) refused.add(firstSequence + at);
    return refused.has(firstSequence);
  };
  await world.produce(5000);
  world.refuses = (to, { firstSequence }) => to === 'B' && refused.has(firstSequence);
  await world.until('everything at B', async () => (await settledAt(world, 'B')) === producedTo(world));
  expect(refused.size).toBeGreaterThan(0);
  return world;
}

function producedTo(world: KernelsWorld): number {
  return world.store.source.producedTo();
}

async function settledAt(world: KernelsWorld, name: Name): Promise<number> {
  return contiguousEnd(await world.coverage(name));
}

/** Numbers of the stream that an archive has as a gap `rejected`. */
async function rejectedAt(world: KernelsWorld, name: Name): Promise<number> {
  return countOf((await world.coverage(name)).filter(({ state }) => state === 'rejected'));
}

/** Each number is a row, once, or in one gap record: in this archive, by itself. */
async function expectProof(world: KernelsWorld, name: Name): Promise<void> {
  const { archive } = world.machine(name);
  const query = { site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER };
  const rows = await archive.samples({ ...query, limit: 1_000_000 });
  const numbers = rows.map(({ sequence }) => sequence).sort((one, other) => one - other);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.length).toBe(countOf(dataOf(await world.coverage(name))));
  const gaps = (await archive.gaps(query)).filter((gap) => gap.kind === 'sequence');
  const told = gaps.flatMap(({ firstSequence, lastSequence }) =>
    Array.from({ length: lastSequence - firstSequence + 1 }, (_, at) => firstSequence + at),
  );
  const all = [...numbers, ...told].sort((one, other) => one - other);
  expect(all).toEqual(Array.from({ length: producedTo(world) }, (_, at) => at + 1));
  expect(gaps.every(({ reason }) => reason === 'rejected')).toBe(true);
}

async function reconnect(world: KernelsWorld): Promise<void> {
  world.network.cut('A', 'B', 'reset');
  world.network.heal('A', 'B');
  await world.produce(3000);
}

function refusals(world: KernelsWorld, name: Name): string[] {
  const alarms = groupAlarms(world.status(name)).filter(({ code }) => code === 'kernel-refuses');
  return alarms.map(({ text }) => text);
}

describe('a block that a standby refuses', () => {
  it('is a gap in its archive only; it stays in the set, and an alarm tells', async () => {
    const world = await refusing({ names: ['A', 'B', 'C'] });
    expect(world.status('A').inSync).toEqual(['A', 'B', 'C']);
    await world.until('all acknowledged', () => world.ackedThrough === producedTo(world));
    for (const name of ['A', 'C'] as const) expect(await world.hasAll(name)).toBe(true);
    for (const name of world.names) await expectProof(world, name);
    const values = await rejectedAt(world, 'B');
    expect(values).toBeGreaterThan(0);
    await world.produce(8000);
    const [b, c] = world.status('A').kernels;
    expect(b).toMatchObject({ behindMs: 0, lacking: 0, refused: { values } });
    expect(c?.refused).toEqual({ values: 0, runs: 0, forMs: null, why: null });
    expect(refusals(world, 'A')).toEqual([expect.stringContaining(`B refuses ${values} values in `)]);
    expect(refusals(world, 'A')[0]).toContain('(undecodable, ');
    for (const name of ['B', 'C'] as const) expect(refusals(world, name)).toEqual([]);
  });

  it('is given again over each new connection: refused it stays one gap, taken it is data', async () => {
    const world = await refusing();
    const values = await rejectedAt(world, 'B');
    await reconnect(world);
    await world.until('everything at B', async () => (await settledAt(world, 'B')) === producedTo(world));
    expect(await rejectedAt(world, 'B')).toBe(values);
    await expectProof(world, 'B');
    expect(world.status('A').kernels[0]?.refused.values).toBe(values);
    world.refuses = null;
    await world.produce(2000);
    expect(await rejectedAt(world, 'B'), 'not before there is another connection').toBe(values);
    await reconnect(world);
    await world.until('all at B', () => world.hasAll('B'));
    expect(await rejectedAt(world, 'B')).toBe(0);
    await world.produce(1000);
    expect(world.status('A').kernels[0]?.refused).toMatchObject({ values: 0, forMs: null });
  });

  it('is known after a restart of the hot one', async () => {
    const world = await refusing({ ringBytes: 20_000 });
    const values = await rejectedAt(world, 'B');
    world.kill('A');
    await world.produce(1000);
    await world.startKernel('A');
    await world.until('a hot Kernel', () => world.status('A').takesSessions);
    await world.produce(12_000);
    await world.until('everything at B', async () => (await settledAt(world, 'B')) === producedTo(world));
    expect(world.status('A').inSync).toEqual(['A', 'B']);
    expect(refusals(world, 'A')[0]).toContain(`B refuses ${values} values in `);
    await expectProof(world, 'B');
  });

  it('after a switch is told by who has it, and stays where it is', async () => {
    const world = await refusing({ names: ['A', 'B', 'C'] });
    const values = await rejectedAt(world, 'B');
    const handing = world.server('A').group?.handOver('B') ?? Promise.resolve();
    await world.produce(2000);
    await world.resolve(handing);
    await world.produce(10_000);
    expect(world.status('B')).toMatchObject({ role: 'hot', takesSessions: true });
    await world.until('the set', () => world.status('B').inSync.length === 3);
    for (const name of ['A', 'C'] as const) {
      expect(refusals(world, name)[0]).toContain(`B refuses ${values} values in `);
      await world.until(`all at ${name}`, () => world.hasAll(name));
    }
    for (const name of world.names) await expectProof(world, name);
    // A machine that comes anew gets the gap of this one, and the data when one is hot that has them.
    world.kill('C');
    world.replace('C');
    await world.startKernel('C');
    await world.until('the set', () => !world.status('B').inSync.includes('C'));
    await world.until('the set', () => world.status('B').inSync.includes('C'));
    expect(await rejectedAt(world, 'C')).toBe(values);
    const back = world.server('B').group?.handOver('A') ?? Promise.resolve();
    await world.produce(2000);
    await world.resolve(back);
    await world.until('all at C', () => world.hasAll('C'));
  });
});
