import { beforeEach, expect, it } from 'vitest';
import type { LeaseAnswer, LeaseClaim } from '../src/domain/lease.ts';
import { counterOf, NO_TERM, termOf } from '../src/domain/term.ts';
import type { Seat } from '../src/kernel/lease-desk.ts';
import { KernelsWorld, type Name, type WorldOptions } from './kernels/kernels-world.ts';

const CLAIM: LeaseClaim = {
  ...{ role: 'standby', ownTerm: 0, highestTerm: 0, unfit: null, isLeaving: false, releasedTerm: 0 },
  ...{ preferred: { instance: 0, setAtUs: 0 }, peerGone: false, preferHoldOffMs: 0, leaseMs: 1200 },
  wish: null,
};

let world: KernelsWorld;

/** An instance that asks a Kernel for the lease, and does with it what it says. */
class Asking {
  readonly instance: number;
  readonly #isDurableAt: readonly Name[];
  #seat: Seat | null = null;
  term = NO_TERM;
  /** The highest that it has seen, of whomever. */
  seen = NO_TERM;
  granted: LeaseAnswer | null = null;
  /** Terms that were granted, and that a member did not have then. */
  readonly unshared: number[] = [];

  constructor(instance: number, isDurableAt: readonly Name[] = []) {
    this.instance = instance;
    this.#isDurableAt = isDurableAt;
    world.clock.repeat('claim', 300, () => this.#claim());
  }

  sits(name: Name): void {
    this.#seat = world.server(name).leases.attach({
      ...{ site: 'S', process: 'P', instance: this.instance },
      send: async (message) => {
        if (message.type === 'lease') await this.#answered(message.answer);
      },
    });
  }

  #claim(): void {
    const isActive = this.term !== NO_TERM;
    const claim = { ...CLAIM, role: isActive ? 'active' : 'standby', ownTerm: this.term } as const;
    this.#seat?.claimed(1, { ...claim, highestTerm: Math.max(this.term, this.seen) });
  }

  async #answered(answer: LeaseAnswer): Promise<void> {
    this.granted = answer.kind === 'granted' ? answer : null;
    if (answer.kind !== 'granted') return;
    this.term = answer.term;
    for (const name of this.#isDurableAt) {
      const [known] = await world.machine(name).archive.terms();
      if ((known?.term ?? NO_TERM) < answer.term) this.unshared.push(answer.term);
    }
  }
}

async function running(options: WorldOptions = {}): Promise<void> {
  world = new KernelsWorld(options);
  for (const name of world.names) await world.startKernel(name);
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  await world.until('all know it', () => world.names.every((name) => world.status(name).hot === 'A'));
  if (options.ackPolicy === 'hot') return;
  await world.until('the set', () => world.status('A').inSync.length === world.names.length);
}

beforeEach(() => running());

async function forced(name: Name): Promise<void> {
  await world.resolve(world.server(name).group?.force() ?? Promise.resolve([]));
  await world.until('it is hot', () => world.status(name).takesSessions);
}

it('a lease is granted when the whole set has its term', async () => {
  const asking = new Asking(1, ['A', 'B']);
  asking.sits('A');
  await world.until('a lease', () => asking.granted !== null);
  expect(asking.unshared).toEqual([]);
  expect(await world.machine('B').archive.terms()).toEqual([
    { site: 'S', process: 'P', term: asking.term, holder: 1 },
  ]);
});

it('a member that is away is waited for until it is out of the set', async () => {
  world.network.cut('A', 'B', 'hang');
  const asking = new Asking(1);
  asking.sits('A');
  await world.clock.advance(3000);
  expect(world.status('A').inSync).toContain('B');
  expect(asking.granted).toBeNull();
  await world.until('a set without it', () => world.status('A').inSync.length === 1);
  await world.until('a lease', () => asking.granted !== null);
});

it('who is forced goes on above the terms of the lost one, though nobody tells it of them', async () => {
  const first = new Asking(1);
  first.sits('A');
  await world.until('a lease', () => first.granted !== null);
  world.kill('A');
  await forced('B');
  const second = new Asking(2);
  second.sits('B');
  await world.until('another lease', () => second.granted !== null);
  expect(second.term).toBeGreaterThan(first.term);
});

it('the next hot one goes on with the holder', async () => {
  const first = new Asking(1);
  first.sits('A');
  await world.until('a lease', () => first.granted !== null);
  const { term } = first;
  await world.resolve(world.server('A').group?.handOver('B') ?? Promise.resolve());
  first.granted = null;
  first.sits('B');
  const tookMs = await world.until('the lease there', () => first.granted !== null);
  // A Kernel that did not know of it would wait until every lease before it is over.
  expect(tookMs).toBeLessThan(1000);
  expect(first.term).toBe(term);
});

it('two that are hot at once never give the same term', async () => {
  world.network.cut('A', 'B', 'hang');
  await world.until('a set without it', () => world.status('A').inSync.length === 1);
  await forced('B');
  const [first, second] = [new Asking(1), new Asking(2)];
  first.sits('A');
  second.sits('B');
  await world.until('two leases', () => first.granted !== null && second.granted !== null);
  expect(first.term).not.toBe(second.term);
});

it.each([3, 4, 5, 6, 7])(
  'nor do they where their files name different Kernels, whatever was seen before (%i)',
  async (seen) => {
    world.network.cut('A', 'B', 'hang');
    await world.until('a set without it', () => world.status('A').inSync.length === 1);
    world.server('B').group?.reload(world.others('B', ['A', 'B', 'C']));
    await forced('B');
    const [first, second] = [new Asking(1), new Asking(2)];
    for (const asking of [first, second]) asking.seen = termOf(seen, { instance: 1, by: 'kernel' });
    first.sits('A');
    second.sits('B');
    await world.until('two leases', () => first.granted !== null && second.granted !== null);
    expect(first.term).not.toBe(second.term);
  },
);

it('two that meet while both are hot do not drive up their terms, however slow a disk is', async () => {
  await running({ ackPolicy: 'hot' });
  world.network.cut('A', 'B', 'hang');
  await forced('B');
  const [first, second] = [new Asking(1), new Asking(2)];
  first.sits('A');
  second.sits('B');
  await world.until('two leases', () => first.granted !== null && second.granted !== null);
  world.machine('A').disk.syncMs = { min: 5000, max: 5000 };
  world.network.heal('A', 'B');
  await world.until('A steps down', () => world.status('A').overtaken?.by === 'B');
  expect(counterOf(Math.max(first.term, second.term))).toBeLessThan(8);
});

it('a hot one that hears of a higher term of another one raises its own above it', async () => {
  await running({ ackPolicy: 'hot' });
  const first = new Asking(1);
  world.network.cut('A', 'B', 'hang');
  first.sits('A');
  await world.until('a lease', () => first.granted !== null);
  const later = termOf(counterOf(first.term) + 20, { instance: 1, by: 'kernel' });
  await world.machine('A').archive.raiseTerm({ site: 'S', process: 'P', term: later, holder: 1 });
  await forced('B');
  const second = new Asking(2);
  second.sits('B');
  await world.until('another lease', () => second.granted !== null);
  world.network.heal('A', 'B');
  await world.until('a term above', () => second.term > later);
});
