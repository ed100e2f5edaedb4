import { describe, expect, it } from 'vitest';
import { loadSite } from './load.ts';
import type { Line } from './model.ts';
import { type Json, load, problemsOf } from './site.fixture.ts';

interface Change {
  readonly servers?: Json;
  readonly process?: Json;
  readonly line?: Json;
  readonly more?: Json;
}

/** Two servers that reach each other on two networks. */
function pair({ servers = {}, process = {}, line = {}, more = {} }: Change = {}): Json {
  const { address, driver = 'modbus-tcp', ...rest } = line;
  const place = driver === 'modbus-rtu' ? { device: '/dev/ttyS1' } : { address: address ?? '10.0.0.5' };
  const opcua = { endpoint: 'opc.tcp://10.0.0.7:4840' };
  const own = { driver, ...(driver === 'opcua' ? opcua : place), stations: {}, ...rest };
  return {
    ...{ site: 'S', tls: {}, kernels: [{ address: '127.0.0.1' }] },
    servers: {
      A: { instance: 1, peer: ['10.1.0.1', '10.2.0.1:3200'] },
      B: { instance: 2, peer: ['10.1.0.2', { address: '10.2.0.2', listen: '0.0.0.0:3300' }] },
      ...servers,
    },
    processes: { KomA: { ...process, lines: { plc: own } } },
    ...more,
  };
}

const lineOf = (line: Json): Line | undefined => load(pair({ line })).site.processes[0]?.lines[0];
const failoverOf = (line: Json) => lineOf(line)?.failover;

describe('peers', () => {
  it('are where the others dial and where the server listens', () => {
    const { site, problems } = load(pair());
    expect(problems).toEqual([]);
    expect(site.servers.map(({ peers }) => peers)).toEqual([
      [
        {
          ...{ address: { host: '10.1.0.1', port: 3120 }, listen: { host: '10.1.0.1', port: 3120 } },
          insecure: false,
        },
        {
          ...{ address: { host: '10.2.0.1', port: 3200 }, listen: { host: '10.2.0.1', port: 3200 } },
          insecure: false,
        },
      ],
      [
        {
          ...{ address: { host: '10.1.0.2', port: 3120 }, listen: { host: '10.1.0.2', port: 3120 } },
          insecure: false,
        },
        {
          ...{ address: { host: '10.2.0.2', port: 3120 }, listen: { host: '0.0.0.0', port: 3300 } },
          insecure: false,
        },
      ],
    ]);
  });

  it('are a second of silence apart, three with the profile small, and as the file says', () => {
    const of = (change: Change) => load(pair(change)).site.processes[0]?.redundancy;
    expect(of({})).toEqual({
      ...{ preferredInstance: 0, preferHoldOffMs: 10_000, peerTimeoutMs: 1000, peerHeartbeatMs: 250 },
      ...{ fitnessIntervalMs: 3_600_000, fitnessMaxAgeMs: 86_400_000, isMirrored: true },
    });
    expect(of({ process: { buffer: { profile: 'small' } } })?.peerTimeoutMs).toBe(3000);
    const peer = { timeout: '2s', heartbeat: '100ms' };
    expect(of({ more: { peer }, process: { buffer: { profile: 'small' }, mirror: false } })).toMatchObject({
      ...{ peerTimeoutMs: 2000, peerHeartbeatMs: 100, isMirrored: false },
    });
    const process = {
      preferredInstance: 2,
      preferHoldOff: '1min',
      fitness: { interval: '10min', maxAge: '1h' },
    };
    expect(of({ process })).toMatchObject({
      ...{ preferredInstance: 2, preferHoldOffMs: 60_000, fitnessIntervalMs: 600_000 },
      fitnessMaxAgeMs: 3_600_000,
    });
  });

  it('need TLS or the word of the writer where others can listen', () => {
    const { tls: _, ...open } = pair();
    expect(problemsOf(open).map(({ path }) => path)).toContain('$.servers.A.peer[0]');
    const insecure = load({ ...open, peer: { insecure: true } });
    expect(insecure.problems.map(({ path }) => path)).toContain('$.servers.B.peer[1]');
    expect(insecure.site.servers[0]?.peers[0]?.insecure).toBe(true);
    const mixed = { B: { instance: 2, peer: ['10.1.0.2', { address: '10.2.0.2', insecure: true }] } };
    expect(load(pair({ servers: mixed })).site.servers[1]?.peers.map((each) => each.insecure)).toEqual([
      false,
      true,
    ]);
  });

  it.each<[string, Change, string, RegExp]>([
    ['one side only', { servers: { B: { instance: 2 } } }, '$.servers.B.peer', /at which A reaches it/],
    [
      'an address twice',
      { servers: { B: { instance: 2, peer: ['10.1.0.1', '10.2.0.2'] } } },
      '$.servers.B.peer[0]',
      /server A has the same address already/,
    ],
    [
      'an address twice on one server',
      { servers: { B: { instance: 2, peer: ['10.1.0.2', '10.1.0.2:3120'] } } },
      '$.servers.B.peer[1]',
      /it has the same address already/,
    ],
    [
      'one place to listen for two',
      {
        servers: {
          B: {
            instance: 2,
            peer: [
              { address: '10.1.0.2', listen: '0.0.0.0' },
              { address: '10.2.0.2', listen: '0.0.0.0' },
            ],
          },
        },
      },
      '$.servers.B.peer[1].listen',
      /listens there already/,
    ],
    [
      'three members',
      { servers: { C: { instance: 3, peer: ['10.1.0.3', '10.2.0.3'] } } },
      '$.processes.KomA.servers',
      /between two servers.*A, B, C/,
    ],
    [
      'a preference for nobody',
      { process: { preferredInstance: 3 } },
      '$.processes.KomA.preferredInstance',
      /1 \(A\) or 2 \(B\)/,
    ],
    ['hasty', { more: { peer: { timeout: '600ms' } } }, '$.peer.timeout', /three times the heartbeat/],
    [
      'a proof that is always too old',
      { process: { fitness: { interval: '2h', maxAge: '1h' } } },
      '$.processes.KomA.fitness.maxAge',
      /at least the interval/,
    ],
    [
      'a lease shorter than its renewals',
      { process: { uplink: { lease: '800ms' } } },
      '$.processes.KomA.uplink.lease',
      /two late renewals/,
    ],
    [
      'the port of the uplink',
      { process: { uplink: { listen: { address: '10.9.0.1:3120' } } } },
      '$.processes.KomA.uplink.listen',
      /the peer link listens there on A, too/,
    ],
  ])('tells of %s', (_, change, path, text) => {
    const found = problemsOf(pair(change));
    expect(found.map((each) => each.path)).toEqual([path]);
    expect(found[0]?.text).toMatch(text);
  });

  it('warns of a pair that cannot hear each other, and of networks that lead one way', () => {
    const deaf = { A: { instance: 1 }, B: { instance: 2 } };
    expect(load(pair({ servers: deaf })).problems).toMatchObject([
      { path: '$.processes.KomA', message: expect.stringContaining('none has a peer address') },
    ]);
    const uneven = { B: { instance: 2, peer: ['10.1.0.2'] } };
    expect(load(pair({ servers: uneven })).problems).toMatchObject([
      { path: '$.processes.KomA', message: 'A and B have not as many peer addresses' },
    ]);
    expect(load(pair({ servers: deaf, process: { servers: ['A'] } })).problems).toEqual([]);
  });
});

describe('lines of a standby', () => {
  it.each<[Json, string, boolean]>([
    [{}, 'cold', false],
    [{ doublePolling: true }, 'hot', false],
    [{ doublePolling: true, standby: 'warm' }, 'warm', false],
    [{ driver: 'modbus-rtu' }, 'cold', true],
    [{ driver: 'modbus-rtu-over-tcp' }, 'cold', true],
    [{ driver: 'opcua' }, 'warm', false],
    [{ driver: 'opcua', exclusive: true }, 'cold', true],
    [{ driver: 'opcua', standby: 'cold' }, 'cold', false],
  ])('%j is %s', (line, standby, isExclusive) => {
    expect(failoverOf(line)).toEqual({ standby, isExclusive, onIsolation: 'release', isTested: true });
  });

  it('may be kept in isolation, and left out of the proofs', () => {
    const keep = { driver: 'modbus-rtu', onIsolation: 'keep', fitness: false };
    expect(failoverOf(keep)).toMatchObject({ onIsolation: 'keep', isTested: false });
  });

  it.each<[Json, string, RegExp]>([
    [{ standby: 'hot' }, 'standby', /"doublePolling": true/],
    [{ driver: 'modbus-rtu', standby: 'warm' }, 'standby', /takes one client; expected "cold"/],
    [{ doublePolling: true, exclusive: true, standby: 'cold' }, 'doublePolling', /one client/],
    [{ onIsolation: 'keep' }, 'onIsolation', /only an exclusive line/],
    [{ driver: 'opcua', standby: 'hot' }, 'standby', /"cold" or "warm"/],
    [{ driver: 'opcua', doublePolling: true }, 'doublePolling', /unknown key/],
  ])('%j is a problem', (line, key, text) => {
    const found = problemsOf(pair({ line }));
    expect(found.map((each) => each.path)).toEqual([`$.processes.KomA.lines.plc.${key}`]);
    expect(found[0]?.text.replace('client; ', 'client; expected ')).toMatch(text);
  });
});

it('the example of two servers loads without a warning, and its hash is the same on both', async () => {
  const one = await loadSite('examples/site-redundant.json', { server: 'ServerKom1' });
  const two = await loadSite('examples/site-redundant.json', { server: 'ServerKom2' });
  expect([...one.problems, ...two.problems]).toEqual([]);
  expect(two.site.hash).toBe(one.site.hash);
  expect(one.site.processes.map(({ redundancy }) => redundancy.preferredInstance)).toEqual([1, 2, 2]);
  const modes = one.site.processes.map(({ lines }) => lines[0]?.failover.standby);
  expect(modes).toEqual(['hot', 'warm', 'cold']);
});
