import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Json, PUMP, problemsOf, site } from './site.fixture.ts';

describe('a site file with mistakes', () => {
  it('has all five named, of form and of meaning, each with its JSON path', () => {
    const raw = JSON.parse(
      readFileSync(new URL('../../test/config/five-mistakes.json', import.meta.url), 'utf8'),
    );
    expect(problemsOf(raw).map(({ path, text }) => `${path}: ${text}`)).toEqual([
      '$.servers.ServerKom1.dta: unknown key; did you mean "data"?',
      expect.stringMatching(/^\$\.templates\.pump\.tags\.flow\.scan: .*duration with its unit.*"1"/),
      expect.stringMatching(/^\$\.processes\.KomA\.lines\.dcs\.user\.password: .*"env"/),
      expect.stringMatching(
        /^\$\.processes\.KomA\.lines\.plc\.stations\.P1\.template: .*did you mean "pump"/,
      ),
      expect.stringMatching(/^\$\.templates\.valve\.tags\.position\.address: .*0 to 65535; 70000 from/),
    ]);
  });

  it('never shows a password in the text of the problem that it is there', () => {
    const raw = site(({ lines }) => {
      lines['dcs'] = {
        driver: 'opcua',
        endpoint: 'opc.tcp://h:4840',
        user: { name: 'u', password: 'hunter2' },
        stations: {},
      };
    });
    expect(JSON.stringify(problemsOf(raw))).not.toContain('hunter2');
  });

  it.each<
    [
      string,
      (raw: ReturnType<typeof site> & { lines: Json; templates: Json; servers: Json }) => void,
      string,
      string,
    ]
  >([
    ['a missing key', (raw) => delete raw['kernels'], '$.kernels', 'missing; an array'],
    [
      'an unknown driver',
      ({ lines }) => (lines['x'] = { driver: 'modbus', stations: {} }),
      '$.processes.KomA.lines.x.driver',
      '"modbus-tcp", ',
    ],
    [
      'an instance of 16',
      ({ servers }) => (servers['A'] = { instance: 16 }),
      '$.servers.A.instance',
      'at most 15; 16',
    ],
    [
      'two servers of one number',
      ({ servers }) => (servers['B'] = { instance: 1 }),
      '$.servers.B.instance',
      'server A has the same number',
    ],
    ['no server', (raw) => (raw['servers'] = {}), '$.servers', 'at least one server'],
    [
      'a Kernel elsewhere without TLS',
      (raw) => (raw['kernels'] = [{ address: '10.0.0.1' }]),
      '$.kernels[0]',
      'has no "tls" section; "tls": {} with certificates, or "insecure": true',
    ],
    [
      'a mode of later versions',
      ({ lines }) =>
        (lines['plc'] = { driver: 'modbus-tcp', address: 'h', stations: { S: { mode: 'simulate' } } }),
      '$.processes.KomA.lines.plc.stations.S.mode',
      '"on" or "off"; "simulate"',
    ],
    [
      'a missing parameter',
      ({ lines }) =>
        (lines['y'] = { driver: 'modbus-tcp', address: 'h', stations: { S: { template: 'pump' } } }),
      '$.processes.KomA.lines.y.stations.S.parameters.base',
      'template pump needs it; integer',
    ],
    [
      'a parameter of a wrong type',
      ({ lines }) =>
        (lines['y'] = {
          driver: 'modbus-tcp',
          address: 'h',
          stations: { S: { template: 'pump', parameters: { base: 1.5 } } },
        }),
      '$.processes.KomA.lines.y.stations.S.parameters.base',
      'integer; 1.5',
    ],
    [
      'an unknown parameter',
      ({ lines }) =>
        (lines['y'] = {
          driver: 'modbus-tcp',
          address: 'h',
          stations: { S: { template: 'pump', parameters: { base: 1, bas: 2 } } },
        }),
      '$.processes.KomA.lines.y.stations.S.parameters.bas',
      'did you mean "base"?',
    ],
    [
      'an override of no tag',
      ({ lines }) =>
        (lines['y'] = {
          driver: 'modbus-tcp',
          address: 'h',
          stations: { S: { template: 'pump', parameters: { base: 1 }, overrides: { flwo: {} } } },
        }),
      '$.processes.KomA.lines.y.stations.S.overrides.flwo',
      'did you mean "flow"?',
    ],
    [
      'a station name twice in a process',
      ({ lines }) => (lines['y'] = { driver: 'modbus-tcp', address: 'h', stations: { P1: {} } }),
      '$.processes.KomA.lines.y.stations.P1',
      'line plc of this process already has',
    ],
    [
      'an array with one name twice',
      ({ lines }) =>
        (lines['y'] = { driver: 'modbus-tcp', address: 'h', stations: [{ name: 'S' }, { name: 'S' }] }),
      '$.processes.KomA.lines.y.stations[1].name',
      '"S" stands twice',
    ],
    [
      'a template name for one full name',
      (raw) => (raw['nameTemplate'] = '{line}'),
      '$.nameTemplate',
      'without {tag}',
    ],
    [
      'a register without a type',
      ({ templates }) => (templates['pump'] = { ...PUMP, tags: { a: { address: 1 } } }),
      '$.templates.pump.tags.a.type',
      'a holding-register does not tell it',
    ],
    [
      'a coil that is no bit',
      ({ templates }) =>
        (templates['pump'] = { ...PUMP, tags: { a: { table: 'coil', address: 1, type: 'int16' } } }),
      '$.templates.pump.tags.a.type',
      'not a type of a coil',
    ],
    [
      'a bit of a register without its index',
      ({ templates }) => (templates['pump'] = { ...PUMP, tags: { a: { address: 1, type: 'bit' } } }),
      '$.templates.pump.tags.a.bitIndex',
      'needs it; 0 to 15',
    ],
    [
      'a value across the end of the table',
      ({ templates }) => (templates['pump'] = { ...PUMP, tags: { a: { address: 65535, type: 'float32' } } }),
      '$.templates.pump.tags.a.address',
      'outside the table',
    ],
    [
      'a node id on a Modbus line',
      ({ templates }) =>
        (templates['pump'] = { ...PUMP, tags: { a: { nodeId: 'ns=1;s=x', address: 1, type: 'int16' } } }),
      '$.templates.pump.tags.a.nodeId',
      'means nothing on a line of driver Modbus',
    ],
    [
      'an unknown placeholder',
      ({ templates }) => (templates['pump'] = { ...PUMP, tags: { a: { address: '{bas}', type: 'int16' } } }),
      '$.templates.pump.tags.a.address',
      '{bas} is not known here',
    ],
    [
      'a parameter with a name of its own meaning',
      ({ templates }) => (templates['v'] = { parameters: { unit: 'integer' }, tags: {} }),
      '$.templates.v.parameters.unit',
      'cannot be called unit',
    ],
    [
      'an unknown server of a process',
      (raw) => ((raw['processes'] as Json)['KomB'] = { servers: ['B'], lines: {} }),
      '$.processes.KomB.servers[0]',
      'no server is called "B"',
    ],
    [
      'a name that is no directory',
      (raw) => ((raw['processes'] as Json)['../x'] = { lines: {} }),
      '$.processes["../x"]',
      'starting with a letter',
    ],
    [
      'a heartbeat slower than the silence',
      (raw) => (((raw['processes'] as Json)['KomA'] as Json)['uplink'] = { heartbeat: '2s' }),
      '$.processes.KomA.uplink.silenceMax',
      'twice the heartbeat',
    ],
    [
      'a size without a unit',
      (raw) => (((raw['processes'] as Json)['KomA'] as Json)['buffer'] = { capacity: 64 }),
      '$.processes.KomA.buffer.capacity',
      'a size with its unit',
    ],
    [
      'a security mode that does not fit',
      ({ lines }) =>
        (lines['o'] = { driver: 'opcua', endpoint: 'opc.tcp://h:1', securityMode: 'Sign', stations: {} }),
      '$.processes.KomA.lines.o.securityMode',
      'does not fit security policy None',
    ],
    [
      'a thing that is no node id',
      ({ lines }) =>
        (lines['o'] = {
          driver: 'opcua',
          endpoint: 'opc.tcp://h:1',
          stations: { S: { tags: { a: { nodeId: 'Pump.Flow', type: 'text' } } } },
        }),
      '$.processes.KomA.lines.o.stations.S.tags.a.nodeId',
      'not a node id',
    ],
    [
      'a Modbus key on an OPC UA station',
      ({ lines }) =>
        (lines['o'] = { driver: 'opcua', endpoint: 'opc.tcp://h:1', stations: { S: { unit: 1 } } }),
      '$.processes.KomA.lines.o.stations.S.unit',
      'unknown key',
    ],
  ])('%s', (_, change, path, text) => {
    const found = problemsOf(site(change as never));
    expect(found.map((problem) => problem.path)).toEqual([path]);
    expect(found[0]?.text).toContain(text);
  });

  it('names two tags of one full name, and a former name that is in use', () => {
    const raw = site((open) => {
      open['nameTemplate'] = '{tag}';
      open.lines['plc'] = {
        driver: 'modbus-tcp',
        address: 'h',
        stations: {
          S1: { tags: { a: { address: 1, type: 'int16' } } },
          S2: {
            tags: { a: { address: 1, type: 'int16' }, b: { address: 2, type: 'int16', formerly: ['a'] } },
          },
        },
      };
    });
    expect(problemsOf(raw).map(({ text }) => text)).toEqual([
      expect.stringContaining('a tag is called a, as one of station S1 already is'),
    ]);
    const renamed = site(({ lines }) => {
      const tags = {
        a: { address: 1, type: 'int16' },
        b: { address: 2, type: 'int16', formerly: ['{station}.a'] },
      };
      lines['plc'] = { driver: 'modbus-tcp', address: 'h', stations: { S: { tags } } };
    });
    expect(problemsOf(renamed)[0]?.text).toContain('S.b was formerly S.a, which is a tag of today');
  });
});
