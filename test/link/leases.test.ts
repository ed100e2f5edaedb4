import { expect, it } from 'vitest';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { LeaseAnswer, LeaseClaim, LeaseSide } from '../../src/domain/lease.ts';
import { granteeOf, NO_TERM, termOf } from '../../src/domain/term.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import { silentLog } from '../../src/world/log.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { openStore } from './link-world.ts';

const PROCESS = { site: 'S', process: 'KomA' };

/** An instance that does what it is told, as the member of a pair would. */
class ObedientSide implements LeaseSide {
  readonly answers: { readonly answer: LeaseAnswer; readonly sentMs: number; readonly atMs: number }[] = [];
  readonly sessions: boolean[] = [];
  said: LeaseClaim = {
    ...{ role: 'standby', ownTerm: NO_TERM, highestTerm: NO_TERM, unfit: null, isLeaving: false },
    ...{ preferred: { instance: 0, setAtUs: 0 }, releasedTerm: NO_TERM, peerGone: false },
    ...{ preferHoldOffMs: 10_000, leaseMs: 1200, wish: null },
  };
  readonly #clock: SimulatedClock;
  readonly #instance: number;
  changed: () => void = () => {};

  constructor(instance: number, clock: SimulatedClock) {
    this.#instance = instance;
    this.#clock = clock;
  }

  get isActive(): boolean {
    return this.said.role === 'active';
  }

  claim(): LeaseClaim {
    return this.said;
  }

  answered(answer: LeaseAnswer, sentMs: number): void {
    this.answers.push({ answer, sentMs, atMs: this.#clock.monotonicMs() });
    const { kind, term } = answer;
    const before = this.said;
    if (kind === 'granted') this.said = { ...before, role: 'active', ownTerm: term, highestTerm: term };
    if (kind === 'held-by-other' && before.role === 'active' && answer.holder !== this.#instance) {
      const highestTerm = Math.max(before.highestTerm, term);
      this.said = { ...before, role: 'standby', highestTerm, releasedTerm: before.ownTerm };
    }
    if (this.said.role !== before.role) this.changed();
  }

  sessionChanged(isThere: boolean): void {
    this.sessions.push(isThere);
  }
}

async function makePair() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(5);
  const network = new SimulatedNetwork({ clock, random });
  const archive = new SimulatedArchive();
  const kernel = new KernelServer({ archive, programVersion: 'test', clock, random, log: silentLog });
  await network.host('kernel').listen({ host: 'kernel', port: 3119 }, (each) => kernel.accept(each));
  const stop = new AbortController();
  const start = async (instance: number, withLease = true) => {
    const store = await openStore({ clock, random, tagCount: 1 });
    const side = new ObedientSide(instance, clock);
    const observed = { untilUs: clock.wallUs() };
    const uplink = new Uplink({
      kernels: [{ host: 'kernel', port: 3119, insecure: true, localAddresses: {} }],
      server: `Server${instance}`,
      identity: { programVersion: 'test', ...PROCESS, instance, siteHash: 'a'.repeat(32) },
      ...{ settings: WIRED, sources: [store.source], transport: network.host(`agent${instance}`) },
      ...{ clock, random, log: silentLog },
      ...(withLease ? { lease: side } : {}),
      observedUntilUs: () => observed.untilUs,
    });
    side.changed = () => uplink.renewNow();
    void uplink.run(stop.signal);
    const produce = (value: number): void => {
      const sourceTimeUs = clock.wallUs();
      store.accept([{ tagIndex: 0, sourceTimeUs, value, quality: 0, cause: 'change' }]);
    };
    return { side, uplink, store, produce, observed };
  };
  const presence = kernel.presence.of(PROCESS.site, PROCESS.process);
  return { clock, network, archive, kernel, start, presence, status: () => kernel.leases.status(PROCESS) };
}

it('gives the lease to one, durably and soon, and counts it from when it was asked for', async () => {
  const { clock, network, archive, start, status } = await makePair();
  for (const host of ['agent1', 'agent2']) network.setLink(host, 'kernel', { latencyMs: 50 });
  const one = await start(1);
  const two = await start(2);
  await clock.advance(5000);
  const active = [one, two].filter(({ side }) => side.isActive);
  expect(active).toHaveLength(1);
  const [holder] = active;
  const { answer, sentMs, atMs } = holder?.side.answers.at(-1) ?? { answer: null, sentMs: 0, atMs: 0 };
  expect(answer).toMatchObject({ kind: 'granted', durationMs: 1200 });
  expect(granteeOf(answer?.term ?? 0)).toEqual({ instance: answer?.holder, by: 'kernel' });
  // There and back.
  expect(atMs - sentMs).toBeGreaterThanOrEqual(100);
  expect(atMs - sentMs).toBeLessThan(110);
  expect(clock.monotonicMs() - sentMs).toBeLessThan(410);
  expect(await archive.terms()).toEqual([{ ...PROCESS, term: answer?.term, holder: answer?.holder }]);
  expect(status()).toMatchObject({ holder: answer?.holder, term: answer?.term, chosen: 0 });
  expect(one.side.sessions).toEqual([true]);
});

it('moves it within two leases when the holder is cut off, and at once on an operator wish', async () => {
  const { clock, network, kernel, start, status } = await makePair();
  const sides = [await start(1), await start(2)];
  await clock.advance(5000);
  const first = status()?.holder ?? 0;
  const other = 3 - first;
  kernel.leases.switch(PROCESS, { to: other, operator: 'anna', force: false });
  await clock.advance(300);
  expect(status()).toMatchObject({ holder: other, chosen: other });
  expect(sides.map(({ side }) => side.isActive)).toEqual([other === 1, other === 2]);
  network.cut(`agent${other}`, 'kernel', 'hang');
  await clock.advance(3500);
  expect(status()?.holder).toBe(first);
  expect(sides[first - 1]?.side.isActive).toBe(true);
  const unknown = { to: 7, operator: 'anna', force: false };
  expect(() => kernel.leases.switch(PROCESS, unknown)).toThrow(/instance 7 is not connected/);
});

it('is unable while the archive takes no term, and answers all the same', async () => {
  const { clock, archive, start, status } = await makePair();
  const one = await start(1);
  await clock.advance(100);
  archive.raiseTerm = () => new Promise(() => {});
  archive.coverage = () => new Promise(() => {});
  await clock.advance(6000);
  expect(status()?.holder).toBe(0);
  const late = one.side.answers.slice(-5);
  expect(late.map(({ answer }) => answer.kind)).toEqual(Array.from({ length: 5 }, () => 'unable'));
  for (const { atMs, sentMs } of late) expect(atMs - sentMs).toBeLessThan(10);
});

it('refuses terms that jump, on both sides', async () => {
  const { clock, kernel, start } = await makePair();
  const one = await start(1);
  await clock.advance(2000);
  one.side.said = { ...one.side.said, highestTerm: termOf(2_000_000, { instance: 1, by: 'kernel' }) };
  await clock.advance(1000);
  expect(one.side.sessions.includes(false)).toBe(true);
  expect(kernel.leases.status(PROCESS)?.term).toBeLessThan(termOf(100, { instance: 1, by: 'kernel' }));
});

it('asks nothing of an agent without leases, which works as ever', async () => {
  const { clock, start, status, presence } = await makePair();
  const one = await start(1, false);
  one.produce(5);
  await clock.advance(2000);
  expect(one.uplink.status.kernel).not.toBeNull();
  expect(status()?.holder ?? 0).toBe(0);
  expect(presence.values()).toMatchObject([{ value: 5, quality: 0 }]);
});

it('keeps present values with the holder, and they age when it is silent', async () => {
  const { clock, network, kernel, start, presence, status } = await makePair();
  const members = [await start(1), await start(2)];
  await clock.advance(5000);
  const at = (instance: number) => members[instance - 1];
  const first = status()?.holder ?? 0;
  const second = 3 - first;
  for (const { store, side } of members) store.termChanged(side.said.ownTerm);
  at(first)?.produce(1);
  await clock.advance(1000);
  // A standby that numbers all the same, or brings an old backlog, does not change the present.
  at(second)?.produce(2);
  await clock.advance(1000);
  expect(presence.values()).toMatchObject([{ value: 1, quality: 0 }]);
  kernel.leases.switch(PROCESS, { to: second, operator: 'anna', force: false });
  await clock.advance(500);
  at(second)?.store.termChanged(at(second)?.side.said.ownTerm ?? 0);
  at(second)?.produce(3);
  await clock.advance(1000);
  expect(presence.values()).toMatchObject([{ value: 3, quality: 0 }]);
  at(first)?.produce(4);
  await clock.advance(1000);
  expect(presence.values()).toMatchObject([{ value: 3 }]);
  expect(presence.instances().map(({ status: { isConnected } }) => isConnected)).toEqual([true, true]);
  network.cut('agent1', 'kernel', 'reset');
  network.cut('agent2', 'kernel', 'reset');
  await clock.advance(4000);
  expect(presence.values()[0]?.quality).not.toBe(0);
});

it('shows a standby as observed no further than where it stood down', async () => {
  const { clock, start, presence } = await makePair();
  const one = await start(1);
  one.produce(1);
  await clock.advance(2000);
  const { streamId } = one.store.ring.stream;
  const before = presence.observedUntilUs(streamId, 0);
  await clock.advance(5000);
  expect(presence.observedUntilUs(streamId, 0)).toBe(before);
  one.observed.untilUs = clock.wallUs();
  await clock.advance(1000);
  expect(presence.observedUntilUs(streamId, 0)).toBe(one.observed.untilUs);
});
