import { describe, expect, it } from 'vitest';
import { isKomError } from '../../domain/errors.ts';
import type { CertificateIdentity } from '../../domain/identity.ts';
import { issueCertificate, makeAuthority } from '../../pki/issue.ts';
import { transportContract } from '../transport.contract.ts';
import type { Connection, Refusal } from '../transport.ts';
import { SimulatedClock } from './clock.ts';
import { SimulatedNetwork } from './network.ts';
import { createSimulatedRandom } from './random.ts';

transportContract('simulated', () => {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, random: createSimulatedRandom(3) });
  let paths = 0;
  return {
    transport: network.host('here'),
    pass: (promise) => clock.runUntil(promise),
    localPath: () => `/run/kom/${paths++}.sock`,
    sleep: (ms) => clock.sleep(ms),
  };
});

const ADDRESS = { host: 'kernel', port: 3119 };
const OPTIONS = { timeoutMs: 1000 };

async function plant(seed = 1) {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, random: createSimulatedRandom(seed) });
  const accepted: Connection[] = [];
  const listen = () => network.host('kernel').listen(ADDRESS, (connection) => accepted.push(connection));
  await listen();
  const agent = network.host('agent');
  const connect = () => clock.runUntil(agent.connect(ADDRESS, OPTIONS));
  return { clock, network, accepted, agent, connect, listen };
}

/** Reads in the background; `pieces` grows, `error` is set when the connection breaks. */
function collect(connection: Connection) {
  const state = { pieces: [] as Uint8Array[], isEnded: false, error: undefined as unknown };
  void (async () => {
    try {
      for await (const bytes of connection) state.pieces.push(bytes);
      state.isEnded = true;
    } catch (error) {
      state.error = error;
    }
  })();
  return { state, text: () => Buffer.concat(state.pieces).toString() };
}

describe('faults of the simulated network', () => {
  it('takes the latency once per packet and twice per handshake', async () => {
    const { clock, network, accepted, connect } = await plant();
    network.setLink('agent', 'kernel', { latencyMs: 40 });
    const client = await connect();
    expect(clock.monotonicMs()).toBe(80);
    const got = collect(accepted[0]!);
    await client.send(new Uint8Array([65]));
    await clock.advance(39);
    expect(got.text()).toBe('');
    await clock.advance(1);
    expect(got.text()).toBe('A');
  });

  it('limits the rate, and connections take turns', async () => {
    const { clock, network, accepted, connect } = await plant();
    network.setLink('agent', 'kernel', { bytesPerSecond: 10_000 });
    const bulk = await connect();
    const heartbeat = await connect();
    const bulkGot = collect(accepted[0]!);
    const heartbeatGot = collect(accepted[1]!);
    void bulk.send(new Uint8Array(50_000));
    await clock.advance(100);
    await heartbeat.send(new Uint8Array([65]));
    await clock.advance(400);
    expect(heartbeatGot.text()).toBe('A');
    await clock.advance(4000);
    const bytes = bulkGot.state.pieces.reduce((sum, piece) => sum + piece.length, 0);
    expect(bytes).toBeGreaterThan(40_000);
    expect(bytes).toBeLessThanOrEqual(45_000);
  });

  it('shares the rate among connections', async () => {
    const { clock, network, accepted, connect } = await plant();
    network.setLink('agent', 'kernel', { bytesPerSecond: 10_000 });
    const clients = [await connect(), await connect()];
    const got = accepted.map(collect);
    for (const client of clients) void client.send(new Uint8Array(50_000));
    await clock.advance(2000);
    const bytes = got.map(({ state }) => state.pieces.reduce((sum, piece) => sum + piece.length, 0));
    for (const one of bytes) expect(one).toBeGreaterThan(7000);
    expect(bytes.reduce((sum, one) => sum + one)).toBeLessThanOrEqual(20_000);
  });

  it('hangs over a cut and delivers the rest in order when healed', async () => {
    const { clock, network, accepted, connect, agent } = await plant();
    const client = await connect();
    const got = collect(accepted[0]!);
    await client.send(Buffer.from('one '));
    network.cut('agent', 'kernel', 'hang');
    await client.send(Buffer.from('two '));
    client.close();
    await clock.advance(60_000);
    expect(got.state.isEnded).toBe(false);
    expect(got.text()).toBe('');
    const timedOut = clock.runUntil(agent.connect(ADDRESS, OPTIONS).catch((error: unknown) => error));
    expect(isKomError(await timedOut, 'KOM_CONNECTION_TIMEOUT')).toBe(true);
    network.heal('agent', 'kernel');
    await clock.advance(10);
    expect(got.text()).toBe('one two ');
    expect(got.state.isEnded).toBe(true);
    await connect();
  });

  it('tells the other side of a broken connection only when the link is back', async () => {
    const { clock, network, accepted, connect } = await plant();
    const client = await connect();
    const got = collect(accepted[0]!);
    network.cut('agent', 'kernel', 'hang');
    client.destroy();
    await clock.advance(60_000);
    expect(got.state.error).toBeUndefined();
    expect(network.openConnections).toBe(1);
    network.heal('agent', 'kernel');
    await clock.advance(10);
    expect(isKomError(got.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    expect(network.openConnections).toBe(0);
  });

  it('resets both sides and is of no use until healed', async () => {
    const { clock, network, accepted, connect } = await plant();
    const client = await connect();
    const [atAgent, atKernel] = [collect(client), collect(accepted[0]!)];
    network.cut('agent', 'kernel', 'reset');
    await clock.advance(10);
    expect(isKomError(atAgent.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    expect(isKomError(atKernel.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    await expect(connect()).rejects.toMatchObject({ code: 'KOM_CONNECTION_UNREACHABLE' });
    network.heal('agent', 'kernel');
    await connect();
  });

  it('refuses an address without touching open connections', async () => {
    const { clock, network, accepted, connect } = await plant();
    const client = await connect();
    network.refuse('kernel', 3119, true);
    await expect(connect()).rejects.toMatchObject({ code: 'KOM_CONNECTION_REFUSED' });
    const got = collect(accepted[0]!);
    await client.send(Buffer.from('still there'));
    await clock.advance(10);
    expect(got.text()).toBe('still there');
    network.refuse('kernel', 3119, false);
    await connect();
  });

  it('breaks the next connection at a chosen byte, and only that one', async () => {
    const { clock, network, accepted, connect } = await plant();
    network.breakNext('agent', 'kernel', 1000);
    const client = await connect();
    const [atAgent, atKernel] = [collect(client), collect(accepted[0]!)];
    void client.send(new Uint8Array(5000)).catch(() => {});
    await clock.advance(100);
    expect(isKomError(atKernel.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    expect(isKomError(atAgent.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    const second = await connect();
    const got = collect(accepted[1]!);
    await second.send(new Uint8Array(5000));
    await clock.advance(100);
    expect(got.text().length).toBe(5000);
  });

  it('kills a host: its connections break, its listeners are gone, it can start again', async () => {
    const { clock, network, connect, listen } = await plant();
    const atAgent = collect(await connect());
    network.killHost('kernel');
    await clock.advance(10);
    expect(isKomError(atAgent.state.error, 'KOM_CONNECTION_LOST')).toBe(true);
    await expect(connect()).rejects.toMatchObject({ code: 'KOM_CONNECTION_REFUSED' });
    await listen();
    await connect();
  });

  it('switches a host off: it answers nothing until it has power again', async () => {
    const { clock, network, connect, listen } = await plant();
    const atAgent = collect(await connect());
    network.switchOff('kernel', true);
    network.killHost('kernel');
    await clock.advance(1000);
    expect(atAgent.state.error).toBe(undefined);
    const tried = expect(connect()).rejects.toMatchObject({ code: 'KOM_CONNECTION_TIMEOUT' });
    await clock.advance(60_000);
    await tried;
    network.switchOff('kernel', false);
    await listen();
    await connect();
  });

  it('splits and joins at random places, the same for the same seed', async () => {
    const run = async (seed: number) => {
      const { clock, accepted, connect } = await plant(seed);
      const client = await connect();
      const got = collect(accepted[0]!);
      for (let i = 0; i < 50; i++) await client.send(new Uint8Array(100));
      client.close();
      await clock.advance(100);
      expect(got.state.isEnded).toBe(true);
      return got.state.pieces.map((piece) => piece.length);
    };
    const lengths = await run(5);
    expect(lengths.reduce((sum, length) => sum + length)).toBe(5000);
    expect(new Set(lengths).size).toBeGreaterThan(3);
    expect(await run(5)).toEqual(lengths);
    expect(await run(6)).not.toEqual(lengths);
  });
});

describe('TLS in the simulated network', () => {
  it('shows each side the certificate of the other, with one authority and TLS on both', async () => {
    const { clock, network, agent } = await plant();
    const validity = { fromUs: clock.wallUs(), toUs: clock.wallUs() + 86_400_000_000 };
    const authority = await makeAuthority('S', validity);
    const other = await makeAuthority('T', validity);
    const material = async (identity: CertificateIdentity, ca = authority) => {
      const named = { commonName: 'x', identities: [identity], hosts: [], validity };
      const made = { ...(await issueCertificate(ca, named)), ca: ca.certificate };
      return { tls: { material: () => made } };
    };
    const kernel: CertificateIdentity = { role: 'kernel', site: 'S', name: 'k' };
    const komA: CertificateIdentity = { role: 'agent', site: 'S', process: 'KomA', instance: 1 };
    const accepted: Connection[] = [];
    const refusals: Refusal[] = [];
    const secure = { host: 'kernel', port: 4000 };
    await network.host('kernel').listen(secure, (connection) => accepted.push(connection), {
      ...(await material(kernel)),
      refused: (refusal) => refusals.push(refusal),
    });
    const options = { ...OPTIONS, ...(await material(komA)) };
    const connection = await clock.runUntil(agent.connect(secure, options));
    expect(connection.peerCertificate?.identities).toEqual([kernel]);
    expect(accepted[0]?.peerCertificate?.identities).toEqual([komA]);
    const stranger = { ...OPTIONS, ...(await material(komA, other)) };
    for (const [address, how, code] of [
      [secure, OPTIONS, 'KOM_TLS_PLAINTEXT'],
      [ADDRESS, options, 'KOM_TLS_PLAINTEXT'],
      [secure, stranger, 'KOM_TLS_UNKNOWN_CA'],
    ] as const) {
      await expect(clock.runUntil(agent.connect(address, how))).rejects.toMatchObject({ code });
    }
    expect(refusals.map(({ error }) => error.code)).toEqual(['KOM_TLS_PLAINTEXT', 'KOM_TLS_UNKNOWN_CA']);
  });
});
