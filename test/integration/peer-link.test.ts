import { afterEach, expect, it } from 'vitest';
import type { PeerAddress } from '../../src/config/model.ts';
import { startMember } from '../../src/redundancy/peer.fixture.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';
import type { TlsMaterial } from '../../src/world/transport.ts';
import { agent, kernel, SITE, TestAuthority } from './support/certificates.ts';
import { keptLog } from './support/log.ts';
import { freePort, until } from './support/until.ts';

const world = { clock: createClock(), random: createRandom(), transport: createTcpTransport() };
const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

async function addressesOf(count: number): Promise<PeerAddress[]> {
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  return ports.map((port) => {
    const address = { host: '127.0.0.1', port };
    return { address, listen: address, insecure: false };
  });
}

/** Two members; `second` null: that one has no certificate. */
async function pair(first: TlsMaterial, second: TlsMaterial | null, instance = 2) {
  const [a, b] = [await addressesOf(2), await addressesOf(2)];
  const logs = [keptLog('a'), keptLog('b')] as const;
  const one = startMember({
    ...{ instance: 1, own: a, others: b, ...world, log: logs[0].log, tls: { material: () => first } },
  });
  const two = startMember({
    ...{ instance, peerInstance: instance === 1 ? 0 : 1, own: b, others: a, ...world, log: logs[1].log },
    ...(second === null ? {} : { tls: { material: () => second } }),
  });
  running.push(one, two);
  return { one, two, logs };
}

it('joins two instances over TLS, and a process that ended is evidently gone', async () => {
  const authority = await TestAuthority.make();
  const [first, second] = [await authority.material([agent()]), await authority.material([agent('KomA', 2)])];
  const { one, two } = await pair(first, second);
  await until('the peers', () => one.side.heardOf.length > 3 && two.side.heardOf.length > 3);
  expect(one.link.networks.every(({ remote }) => remote !== null)).toBe(true);
  expect(one.side.heardOf[0]?.state.instance).toBe(2);
  expect([one.link.goneMs, two.link.goneMs]).toEqual([null, null]);
  await two.stop();
  await until('the peers', () => one.link.goneMs !== null);
  expect(one.link.isConnected).toBe(false);
});

it('says at once what changed, and carries what mirrors say', async () => {
  const authority = await TestAuthority.make();
  const [first, second] = [await authority.material([agent()]), await authority.material([agent('KomA', 2)])];
  const { one, two } = await pair(first, second);
  await until('the peers', () => one.link.isConnected && two.side.heardOf.length > 0);
  one.side.said = { ...one.side.said, role: 'active', ownTerm: 31, highestTerm: 31 };
  const saidMs = world.clock.monotonicMs();
  one.link.tellNow();
  await until('the peers', () => two.side.heardOf.at(-1)?.state.role === 'active');
  expect(world.clock.monotonicMs() - saidMs).toBeLessThan(200);
  const bytes = new Uint8Array(100_000).fill(7);
  let sent = 0;
  const pump = (): void => {
    while (sent < 200 && two.link.send({ type: 'mirrorBlock', bytes, isSpilled: false })) sent++;
  };
  two.mirror.whenRoomed = pump;
  pump();
  await until('the peers', () => one.mirror.messages.length === 200);
});

it.each<[string, (ours: TestAuthority) => Promise<TlsMaterial | null>, RegExp, number?]>([
  [
    'another authority',
    async () => {
      const other = await TestAuthority.make('Other');
      const { crl: _, ...material } = await other.material([agent('KomA', 2)]);
      return material;
    },
    /KOM_TLS_UNKNOWN_CA/,
  ],
  ['another process', (ours) => ours.material([agent('KomB', 2)]), /KOM_TLS_IDENTITY/],
  ['another site', (ours) => ours.material([agent('KomA', 2, 'Plant 9')]), /KOM_TLS_IDENTITY/],
  ['the role of a Kernel', (ours) => ours.material([kernel(SITE)]), /KOM_TLS_IDENTITY/],
  ['the same instance', (ours) => ours.material([agent('KomA', 1)]), /KOM_TLS_IDENTITY/, 1],
  ['no TLS', async () => null, /KOM_TLS_PLAINTEXT/],
])('refuses a peer of %s', async (_, make, code, instance = 2) => {
  const authority = await TestAuthority.make();
  const first = await authority.material([agent()]);
  const { one, two, logs } = await pair(first, await make(authority), instance);
  const isTold = (): boolean =>
    logs.some(({ lines }) => lines.some((line) => code.test(String(line['code']))));
  await until('the refusal', isTold);
  await world.clock.sleep(500);
  expect([one.link.isConnected, two.link.isConnected]).toEqual([false, false]);
  expect([one.side.heardOf, two.side.heardOf]).toEqual([[], []]);
});
