import { describe, expect, it } from 'vitest';
import type { Dictionary } from '../domain/dictionary.ts';
import { termOf } from '../domain/term.ts';
import type { StreamState, UplinkState } from '../uplink/messages.ts';
import { blockOf, DICTIONARY as NAMES, STREAM, sampleOf, T0 } from '../world/archive.fixture.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { Presence } from './presence.ts';

const DICTIONARY: Dictionary = {
  ...{ site: 'S', process: 'KomA' },
  tags: ['a', 'b'].map((name) => ({
    ...{ name, station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] },
  })),
};
const TERM = termOf(3, { instance: 1, by: 'kernel' });

function stream(instance: number, change: Partial<StreamState> = {}): StreamState {
  return {
    ...{ streamId: String(instance).padEnd(32, '0'), bootId: '', startedAtUs: 1, previous: null, held: [] },
    ...{ heldFromUs: 0, producedTo: 9, endedAtUs: null, running: true, ...change },
  };
}

function makeProcess() {
  const clock = new SimulatedClock();
  const process = new Presence(clock).of('S', 'KomA');
  const join = (number: number) => {
    const instance = process.instance(number);
    const { streamId } = stream(number);
    const live = (tagIndex: number, value: number): void => {
      const values = [{ tagIndex, sequence: 1, sourceTimeUs: 5, quality: 0, value }];
      instance.live({ streamId, dictionaryHash: '', values }, DICTIONARY, 7);
    };
    instance.connected([stream(number)]);
    return { instance, live };
  };
  return { clock, process, join };
}

it('what a standby says of the present does not count while the holder of the lease is there', () => {
  const { process, join } = makeProcess();
  const [one, two] = [join(1), join(2)];
  process.granted({ holder: 1, term: TERM });
  one.instance.claimed(TERM);
  one.live(0, 10);
  two.live(1, 20);
  expect(process.values()).toMatchObject([{ tag: 'a', value: 10 }]);
  one.instance.disconnected();
  two.live(1, 20);
  expect(process.values()).toMatchObject([{ tag: 'a' }, { tag: 'b', value: 20 }]);
});

it('values age with the holder of the lease, and without leases with the last one that speaks', async () => {
  const { clock, process, join } = makeProcess();
  const [one, two] = [join(1), join(2)];
  one.live(0, 10);
  await clock.advance(2000);
  two.live(1, 20);
  await clock.advance(2000);
  const usable = (): boolean => process.values().every(({ quality }) => quality === 0);
  expect(usable()).toBe(true);
  process.granted({ holder: 1, term: TERM });
  expect(usable()).toBe(false);
  process.granted({ holder: 2, term: TERM });
  expect(usable()).toBe(true);
  await clock.advance(2000);
  expect(usable()).toBe(false);
});

it('is connected while one instance is, with the streams of each, and the uplink of the holder', () => {
  const { process, join } = makeProcess();
  const [one] = [join(1), join(2)];
  const [first, second] = process.instances();
  second?.connected([stream(2), stream(1, { ownerInstance: 1, producedTo: 4 })]);
  const heartbeat = { wallUs: 1, observedUntilUs: 1, receivedBytes: 0, isPartial: true, streams: [] };
  first?.heartbeat({ ...heartbeat, uplinkState: 'catch-up' });
  second?.heartbeat({ ...heartbeat, uplinkState: 'online' });
  expect(process.status.uplinkState).toBe('catch-up');
  process.granted({ holder: 2, term: TERM });
  expect(process.status.uplinkState).toBe('online');
  const produced = (): unknown => process.status.streams.map(({ producedTo }) => producedTo);
  expect(produced()).toEqual([9, 9]);
  one.instance.disconnected();
  expect([process.status.isConnected, produced()]).toEqual([true, [9, 4]]);
  second?.disconnected();
  expect(process.status.isConnected).toBe(false);
});

it('numbers that only a mirror holds are in good hands', async () => {
  const { clock, process, join } = makeProcess();
  const { instance } = join(1);
  const mirror = process.instance(2);
  const beat = (): void => {
    const heartbeat = { wallUs: 1, observedUntilUs: 1, uplinkState: 'online', receivedBytes: 0 } as const;
    instance.heartbeat({ ...heartbeat, isPartial: false, streams: [stream(1)] });
  };
  for (let at = 0; at < 3; at++) {
    beat();
    await clock.advance(16_000);
  }
  const lost = () => process.unresolved(async () => [{ first: 1, last: 5, state: 'data' }]);
  expect(await lost()).toMatchObject([{ first: 6, last: 9 }]);
  mirror.connected([stream(1, { ownerInstance: 1, running: false, held: [{ first: 6, last: 8 }] })]);
  expect(await lost()).toMatchObject([{ first: 9, last: 9 }]);
});

it('a stream that no heartbeat speaks of was observed until the last time that its agent stamped', () => {
  const { process, join } = makeProcess();
  const { instance } = join(2);
  const device = { deviceTimeUs: T0 + 900 };
  const samples = [sampleOf(0, 1), sampleOf(500, 2), sampleOf(900, 3, device)];
  instance.archived(blockOf(4, samples).block, { dictionary: NAMES, receivedAtUs: T0 + 2000 });
  process.covered(STREAM, [{ first: 4, last: 6, state: 'data' }]);
  expect(process.observedUntilUs(STREAM, 0)).toBe(0);
  process.covered(STREAM, [{ first: 1, last: 6, state: 'data' }]);
  expect(process.observedUntilUs(STREAM, 0)).toBe(T0 + 500);
});

it('what a heartbeat said of it is not taken back by a block', () => {
  const { process, join } = makeProcess();
  const { instance } = join(1);
  const { streamId } = stream(1);
  process.claim({ streamId, producedTo: 9, untilUs: T0 + 5000 });
  const { block } = blockOf(9, [sampleOf(0, 1)], { streamId });
  instance.archived(block, { dictionary: NAMES, receivedAtUs: T0 + 9000 });
  process.covered(streamId, [{ first: 1, last: 9, state: 'data' }]);
  expect(process.observedUntilUs(streamId, 0)).toBe(T0 + 5000);
});

it('what the agent said last counts, also when its clock was set back in between', () => {
  const { process } = makeProcess();
  const { streamId } = stream(1);
  const covered = (last: number) => process.covered(streamId, [{ first: 1, last, state: 'data' }]);
  expect(process.observedUntilUs(streamId, T0 + 7000)).toBe(T0 + 7000);
  process.claim({ streamId, producedTo: 9, untilUs: T0 + 5000 });
  covered(9);
  process.claim({ streamId, producedTo: 10, untilUs: T0 - 1000 });
  expect(process.observedUntilUs(streamId, 0)).toBe(T0 + 5000);
  covered(10);
  expect(process.observedUntilUs(streamId, T0 + 7000)).toBe(T0 - 1000);
  process.claimAtLeast({ streamId, producedTo: 9, untilUs: T0 - 2000, atLeast: true });
  covered(10);
  expect(process.observedUntilUs(streamId, 0), 'an old block').toBe(T0 - 1000);
});

it('what will be known with later numbers says nothing of blocks that come before them', () => {
  const { process } = makeProcess();
  const { streamId } = stream(1);
  process.claimAtLeast({ streamId, producedTo: 20, untilUs: T0 + 1000, atLeast: true });
  process.claimAtLeast({ streamId, producedTo: 9, untilUs: T0 + 5000, atLeast: true });
  process.covered(streamId, [{ first: 1, last: 9, state: 'data' }]);
  expect(process.observedUntilUs(streamId, 0)).toBe(T0 + 5000);
});

describe('a backlog tells of the past', () => {
  const { streamId } = stream(1);

  /** An instance that greeted when it had numbered up to 9, and what it brings. */
  function makeBehind() {
    const made = makeProcess();
    const { instance, live } = made.join(1);
    const bring = (first: number, value: number, more: { of?: string; isAsked?: boolean } = {}): void => {
      const { of = streamId, ...how } = more;
      const { block } = blockOf(first, [sampleOf(first, value)], { streamId: of });
      instance.archived(block, { dictionary: DICTIONARY, receivedAtUs: T0, ...how });
    };
    const beat = (uplinkState: UplinkState): void => {
      const said = { wallUs: 1, observedUntilUs: 1, receivedBytes: 0, isPartial: true, streams: [] };
      instance.heartbeat({ ...said, uplinkState });
    };
    const shown = (): unknown => made.process.values()[0]?.value;
    return { ...made, instance, live, bring, beat, shown };
  }

  it('so what is older than the session waits until nothing newer is on its way', () => {
    const { bring, beat, shown } = makeBehind();
    beat('catch-up');
    bring(5, 1);
    expect(shown(), 'an alarm that came').toBeUndefined();
    bring(7, 0);
    beat('catch-up');
    expect(shown(), 'and went').toBeUndefined();
    beat('online');
    expect(shown()).toBe(0);
    bring(6, 1);
    beat('online');
    expect(shown(), 'the number counts, not the arrival').toBe(0);
  });

  it('and the live lane and what is numbered in the session are ahead of it', () => {
    const { instance, bring, beat, shown } = makeBehind();
    beat('catch-up');
    bring(9, 1);
    bring(10, 2);
    expect(shown()).toBe(2);
    const values = [{ tagIndex: 0, sequence: 30, sourceTimeUs: 5, quality: 0, value: 3 }];
    instance.live({ streamId, dictionaryHash: '', values }, DICTIONARY, 7);
    bring(20, 4);
    beat('online');
    expect(shown()).toBe(3);
  });

  it('also before the first heartbeat of a session, whatever the last one said', () => {
    const { instance, bring, beat, shown } = makeBehind();
    beat('online');
    instance.disconnected();
    instance.connected([stream(1, { producedTo: 20 })]);
    bring(15, 1);
    expect([shown(), instance.status.uplinkState]).toEqual([undefined, 'outage']);
  });

  it('what another run numbered, what is mirrored, and what somebody asked for never counts', () => {
    const { instance, bring, beat, shown } = makeBehind();
    const former = 'f'.repeat(32);
    bring(5, 1);
    instance.connected([stream(1, { streamId: former, running: false }), stream(1, { streamId: STREAM })]);
    bring(4, 2, { of: former });
    bring(4, 3, { of: '2'.repeat(32) });
    bring(12, 4, { of: STREAM, isAsked: true });
    beat('online');
    expect(shown()).toBeUndefined();
    bring(12, 5, { of: STREAM });
    expect(shown()).toBe(5);
  });
});
