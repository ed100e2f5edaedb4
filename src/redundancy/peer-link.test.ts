import { describe, expect, it } from 'vitest';
import type { PeerAddress } from '../config/model.ts';
import { termOf } from '../domain/term.ts';
import { Channel } from '../uplink/channel.ts';
import type { Hello } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedNetwork } from '../world/simulated/network.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import type { Transport } from '../world/transport.ts';
import { peerState, SITE_HASH, startMember } from './peer.fixture.ts';

const PORT = 3120;
const BLOCK = 'ab'.repeat(16);

/** Two servers, A with instance 1 and B with instance 2, on two networks. */
class Plant {
  readonly clock = new SimulatedClock();
  readonly random = createSimulatedRandom(7);
  readonly network = new SimulatedNetwork({ clock: this.clock, random: this.random });

  /** A machine with a leg on each network: who is dialled says which one is used. */
  host(name: string): Transport {
    const leg = (host: string) => this.network.host(`${name}.${host.split('.')[1]}`);
    return {
      ...this.network.host(name),
      connect: (address, options) => leg(address.host).connect(address, options),
      listen: (address, accept, options) => leg(address.host).listen(address, accept, options),
    };
  }

  member(name: 'A' | 'B', change: Partial<Parameters<typeof startMember>[0]> = {}) {
    const addresses = { A: legs('A'), B: legs('B') };
    return startMember({
      ...{
        instance: name === 'A' ? 1 : 2,
        own: addresses[name],
        others: addresses[name === 'A' ? 'B' : 'A'],
      },
      ...{ transport: this.host(name), clock: this.clock, random: this.random, log: silentLog, ...change },
    });
  }

  async pair() {
    const [a, b] = [this.member('A'), this.member('B')];
    await this.clock.advance(1000);
    return { a, b };
  }

  /** Each network by itself, as somebody pulls its cable. */
  cut(net: string, kind: 'hang' | 'reset' = 'hang'): void {
    this.network.cut(`A.${net}`, `B.${net}`, kind);
  }

  heal(net: string): void {
    this.network.heal(`A.${net}`, `B.${net}`);
  }

  kill(name: string): void {
    for (const net of ['n1', 'n2']) this.network.killHost(`${name}.${net}`);
  }
}

function legs(name: string): PeerAddress[] {
  return ['n1', 'n2'].map((net) => {
    const address = { host: `${name}.${net}`, port: PORT };
    return { address, listen: address, insecure: true };
  });
}

const open = ({ link }: { link: { networks: readonly { remote: string | null }[] } }): boolean[] =>
  link.networks.map(({ remote }) => remote !== null);

describe('a peer link', () => {
  it('tells each side the state of the other, over both networks, each word once and in order', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    expect([open(a), open(b)]).toEqual([
      [true, true],
      [true, true],
    ]);
    a.side.said = peerState(1, {
      role: 'active',
      ownTerm: termOf(3, { instance: 1, by: 'kernel' }),
      observedAgeUs: { bus: 5 },
    });
    b.side.heardOf.length = 0;
    a.link.tellNow();
    await plant.clock.advance(10);
    expect(b.side.heardOf.length).toBeGreaterThan(0);
    expect(b.side.heardOf[0]?.state).toEqual(a.side.said);
    const before = b.side.heardOf.length;
    await plant.clock.advance(10_000);
    // Two networks, a word each 250 ms: none of them is told twice.
    expect(b.side.heardOf.length - before).toBeLessThanOrEqual(82);
    expect(b.side.heardOf.length - before).toBeGreaterThanOrEqual(40);
    expect(plant.clock.monotonicMs() - b.link.heardMs).toBeLessThan(260);
    // The other side has heard what was said a trip or so ago.
    const { echoMs } = b.side.heardOf.at(-1) ?? { echoMs: 0 };
    expect(plant.clock.monotonicMs() - echoMs).toBeLessThan(600);
  });

  it('passes over what a slower network brings late', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    plant.network.setLink('A.n2', 'B.n2', { latencyMs: 400 });
    b.side.heardOf.length = 0;
    for (let at = 1; at <= 100; at++) {
      a.side.said = peerState(1, { stationsAnswering: at });
      await plant.clock.advance(50);
    }
    const heard = b.side.heardOf.map(({ state }) => state.stationsAnswering);
    expect(heard.length).toBeGreaterThan(15);
    expect(heard).toEqual(heard.toSorted((left, right) => left - right));
    expect(a.link.networks.every(({ remote }) => remote !== null)).toBe(true);
  });

  it('hides the loss of one network, and is back on it within a second', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    for (const kind of ['hang', 'reset'] as const) {
      plant.cut('n1', kind);
      for (let at = 0; at < 50; at++) {
        await plant.clock.advance(200);
        for (const { link } of [a, b]) {
          expect(plant.clock.monotonicMs() - link.heardMs).toBeLessThan(260);
          expect(link.goneMs).toBeNull();
        }
      }
      expect(open(b)).toEqual([false, true]);
      plant.heal('n1');
      await plant.clock.advance(1000);
      expect([open(a), open(b)]).toEqual([
        [true, true],
        [true, true],
      ]);
    }
  });

  it.each(['hang', 'reset'] as const)(
    'is silent when both are cut (%s), which is no evidence',
    async (kind) => {
      const plant = new Plant();
      const { a, b } = await plant.pair();
      for (const net of ['n1', 'n2']) plant.cut(net, kind);
      await plant.clock.advance(5000);
      for (const { link } of [a, b]) {
        expect(plant.clock.monotonicMs() - link.heardMs).toBeGreaterThan(4700);
        expect([link.isConnected, link.goneMs]).toEqual([false, null]);
      }
      for (const net of ['n1', 'n2']) plant.heal(net);
      await plant.clock.advance(1000);
      for (const { link } of [a, b]) expect(plant.clock.monotonicMs() - link.heardMs).toBeLessThan(260);
    },
  );

  it.each([
    ['A', 'B'],
    ['B', 'A'],
  ] as const)('knows within 150 ms that the process on %s is dead', async (dead, alive) => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    const survivor = alive === 'A' ? a : b;
    plant.kill(dead);
    await plant.clock.advance(150);
    expect(survivor.link.goneMs).not.toBeNull();
    expect(plant.clock.monotonicMs() - (survivor.link.goneMs ?? 0)).toBeLessThan(150);
    await (dead === 'A' ? a : b).stop();
    const again = plant.member(dead);
    await plant.clock.advance(1500);
    expect(survivor.link.goneMs).toBeNull();
    expect(again.link.isConnected).toBe(true);
  });

  it('does not take a process for dead that only lost its connections', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    for (const net of ['n1', 'n2']) plant.network.breakOne(`A.${net}`, `B.${net}`, 0);
    for (let at = 0; at < 40; at++) {
      await plant.clock.advance(25);
      expect([a.link.goneMs, b.link.goneMs]).toEqual([null, null]);
    }
    expect([a.link.isConnected, b.link.isConnected]).toEqual([true, true]);
  });

  it('begins anew with a process that began anew: its first word counts', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    await plant.clock.advance(60_000);
    plant.kill('A');
    await a.stop();
    const restarted = plant.member('A', { random: createSimulatedRandom(99) });
    restarted.side.said = peerState(1, { role: 'starting' });
    b.side.heardOf.length = 0;
    await plant.clock.advance(1000);
    expect(b.side.heardOf.map(({ state }) => state.role)).toContain('starting');
    expect(restarted.side.heardOf[0]?.echoMs).toBe(Number.NEGATIVE_INFINITY);
  });

  it('hands a wish over once, and messages of mirrors over the first network that works', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    const request = { to: 2, operator: 'anna', force: false };
    a.link.requestHandover(request);
    expect(a.link.send({ type: 'spilled', streamId: BLOCK, throughSequence: 4 })).toBe(true);
    await plant.clock.advance(10);
    expect(b.side.handovers).toEqual([request]);
    expect(b.mirror.messages).toEqual([{ type: 'spilled', streamId: BLOCK, throughSequence: 4 }]);
    expect(a.mirror.events).toEqual(['opened']);
    plant.cut('n1', 'reset');
    await plant.clock.advance(100);
    expect(a.mirror.events).toEqual(['opened', 'closed', 'opened']);
    expect(a.link.send({ type: 'mirrorAck', coverage: [] })).toBe(true);
    await plant.clock.advance(10);
    expect(b.mirror.messages).toHaveLength(2);
    plant.cut('n2', 'reset');
    await plant.clock.advance(100);
    expect(a.link.send({ type: 'mirrorAck', coverage: [] })).toBe(false);
    expect(a.mirror.events.at(-1)).toBe('closed');
  });

  it('keeps little of a mirror on a slow network, and words go on', async () => {
    const plant = new Plant();
    const { a, b } = await plant.pair();
    const bytesPerSecond = 100_000;
    for (const net of ['n1', 'n2']) plant.network.setLink(`A.${net}`, `B.${net}`, { bytesPerSecond });
    let sent = 0;
    const pump = (): void => {
      const bytes = new Uint8Array(5000);
      while (a.link.send({ type: 'mirrorBlock', bytes, isSpilled: false })) sent += bytes.length;
    };
    a.mirror.whenRoomed = pump;
    pump();
    b.side.heardOf.length = 0;
    let late = 0;
    for (let at = 0; at < 100; at++) {
      await plant.clock.advance(100);
      late = Math.max(late, plant.clock.monotonicMs() - b.link.heardMs);
    }
    expect(late).toBeLessThan(300);
    // Most of what ten seconds carry was used.
    expect(sent).toBeGreaterThan(0.6 * 10 * bytesPerSecond);
    const echoes = b.side.heardOf.map(({ echoMs }) => echoMs);
    expect(plant.clock.monotonicMs() - (echoes.at(-1) ?? 0)).toBeLessThan(1500);
    const bound = sent - b.mirror.messages.length * 5000;
    // About what the network carries in 300 ms, whatever the sockets would take.
    expect(bound).toBeLessThan(0.5 * bytesPerSecond);
  });

  it('is not held up by a peer that reads nothing', async () => {
    const plant = new Plant();
    const member = plant.member('A');
    await plant.clock.advance(10);
    const connection = await plant.clock.runUntil(
      plant.host('B').connect({ host: 'A.n1', port: PORT }, { timeoutMs: 1000 }),
    );
    await new Channel(connection, plant.clock).send({ type: 'hello', hello: helloOf({}) });
    await plant.clock.advance(20);
    expect(member.link.isConnected).toBe(true);
    let sent = 0;
    for (let at = 0; at < 300; at++) {
      while (member.link.send({ type: 'mirrorBlock', bytes: new Uint8Array(50_000), isSpilled: true }))
        sent++;
      await plant.clock.advance(10);
    }
    expect(sent).toBeLessThan(40);
    connection.destroy();
    await member.stop();
  });
});

function helloOf(change: Partial<Hello>): Hello {
  return {
    ...{ protocolMin: 1, protocolMax: 2, programVersion: 'test', lane: 'peer', sessionId: BLOCK },
    ...{ site: 'Plant 1', process: 'KomA', instance: 2, siteHash: SITE_HASH, wallUs: 1, streams: [] },
    ...{ heartbeatMs: 250, silenceMaxMs: 1000, dictionaryHashes: [], highestTerm: 0, highestKernelEpoch: 0 },
    ...change,
  };
}

describe('who may be a peer', () => {
  it.each<[string, Partial<Hello>, string]>([
    ['another process', { process: 'KomB' }, 'a peer of Plant 1/KomB'],
    ['another site', { site: 'Plant 2' }, 'instance 2 of Plant 2/KomA'],
    ['the same instance', { instance: 1 }, 'two servers run the same instance'],
    ['a third instance', { instance: 3 }, 'expected instance 2 of Plant 1/KomA'],
    ['a lane of a Kernel', { lane: 'control' }, 'a Hello for the control lane'],
    ['an older protocol', { protocolMax: 1 }, 'got 1 to 1'],
  ])('not %s', async (_, change, text) => {
    const plant = new Plant();
    const member = plant.member('A');
    await plant.clock.advance(10);
    const connection = await plant.clock.runUntil(
      plant.host('B').connect({ host: 'A.n1', port: PORT }, { timeoutMs: 1000 }),
    );
    const channel = new Channel(connection, plant.clock);
    await channel.send({ type: 'hello', hello: helloOf(change) });
    const answer = await plant.clock.runUntil(channel.receive());
    expect(answer).toMatchObject({ type: 'bye', text: expect.stringContaining(text) });
    expect(member.link.isConnected).toBe(false);
    await member.stop();
  });

  it('nobody who says nothing, or jumps with a term, or echoes what was never said', async () => {
    const plant = new Plant();
    const member = plant.member('A');
    await plant.clock.advance(10);
    const dial = async () => {
      const transport = plant.host('B');
      const connected = transport.connect({ host: 'A.n1', port: PORT }, { timeoutMs: 1000 });
      return new Channel(await plant.clock.runUntil(connected), plant.clock);
    };
    const silent = await dial();
    await plant.clock.advance(5100);
    expect(await plant.clock.runUntil(silent.receive().catch(() => null))).toBeNull();
    expect(plant.network.openConnections).toBe(0);
    const { instance: _, ...state } = peerState(2);
    const term = termOf(2_000_000, { instance: 1, by: 'kernel' });
    for (const wrong of [{ highestTerm: term }, { ownTerm: term }, { echoUs: 2 ** 50 }]) {
      const channel = await dial();
      await channel.send({ type: 'hello', hello: helloOf({}) });
      await plant.clock.advance(20);
      expect(member.link.isConnected).toBe(true);
      const word = { ...state, sentUs: 1, echoUs: 0, receivedBytes: 0, ...wrong };
      await channel.send({ type: 'peerState', state: word });
      await plant.clock.advance(20);
      expect(member.link.isConnected).toBe(false);
    }
    expect(member.side.heardOf).toEqual([]);
    await member.stop();
  });
});

describe('the room for mirrors', () => {
  it.each([1, 20, 60, 110, 200])('never ends, with long words and a way of %i ms', async (latencyMs) => {
    const plant = new Plant();
    for (const net of ['n1', 'n2']) {
      plant.network.setLink(`A.${net}`, `B.${net}`, { latencyMs, bytesPerSecond: 100_000 });
    }
    const { a, b } = await plant.pair();
    const lines = Array.from({ length: 60 }, (_, at) => [`a line with a long name ${at}`, at]);
    for (const { side } of [a, b]) side.said = { ...side.said, observedAgeUs: Object.fromEntries(lines) };
    let refusedMs = 0;
    let refusedMaxMs = 0;
    for (let ms = 0; ms < 40_000; ms += 50) {
      await plant.clock.advance(50);
      const isTaken = a.link.send({ type: 'needDictionary', hash: BLOCK });
      refusedMs = isTaken ? 0 : refusedMs + 50;
      refusedMaxMs = Math.max(refusedMaxMs, refusedMs);
    }
    // Three trips, as the link is measured anew each ten seconds.
    expect(refusedMaxMs).toBeLessThan(1500);
    await Promise.all([a.stop(), b.stop()]);
  });
});
