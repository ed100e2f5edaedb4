import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dictionaryOf } from './dictionary.ts';
import {
  ConfigProblems,
  type LoadedSite,
  loadSite,
  type ResolveOptions,
  resolveKernelConfig,
  resolveSite,
} from './load.ts';
import type { ModbusTag, OpcuaTag } from './model.ts';

type Json = Record<string, unknown>;

const PUMP = {
  parameters: { base: 'integer' },
  tags: { flow: { address: '{base}+2', type: 'float32' } },
};

/** A small right site; `change` spoils or extends it. */
function site(
  change: (raw: Json & { lines: Json; templates: Json; servers: Json }) => void = () => {},
): Json {
  const lines: Json = {
    plc: {
      driver: 'modbus-tcp',
      address: '10.0.0.5',
      stations: { P1: { unit: 1, template: 'pump', parameters: { base: 100 } } },
    },
  };
  const raw = {
    site: 'Test',
    kernels: [{ address: '127.0.0.1' }],
    servers: { A: { instance: 1 } } as Json,
    templates: { pump: structuredClone(PUMP) } as Json,
    processes: { KomA: { lines } },
  };
  const open = Object.assign(raw, { lines });
  change(open);
  const { lines: _, ...rest } = open;
  return rest;
}

function load(raw: unknown, options: Partial<ResolveOptions> = {}): LoadedSite {
  return resolveSite(raw, { directory: '/etc/kom', ...options });
}

/** Path and text of everything that is wrong with a site. */
function problemsOf(raw: unknown, options: Partial<ResolveOptions> = {}): { path: string; text: string }[] {
  try {
    load(raw, options);
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error;
    return error.problems.map(({ path, message, expected, got, hint, location }) => ({
      path,
      text: [message, expected, got, hint, location].filter((part) => part !== undefined).join('; '),
    }));
  }
  return [];
}

function modbusTags({ site: made }: LoadedSite): ModbusTag[] {
  return made.processes.flatMap(({ lines }) =>
    lines.flatMap((line) => (line.driver === 'modbus' ? line.stations.flatMap(({ tags }) => tags) : [])),
  );
}

function opcuaTags({ site: made }: LoadedSite): OpcuaTag[] {
  return made.processes.flatMap(({ lines }) =>
    lines.flatMap((line) => (line.driver === 'opcua' ? line.stations.flatMap(({ tags }) => tags) : [])),
  );
}

const filesOf = (files: Record<string, string>): Partial<ResolveOptions> => ({
  readFile: (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`no file ${path}`);
    return text;
  },
  findFiles: () => Object.keys(files).sort(),
});

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
      'has no TLS; a loopback address, or "insecure": true',
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

describe('warnings', () => {
  it('tells of a Kernel without TLS and of an address that is read twice', () => {
    const raw = site((open) => {
      open['kernels'] = [{ address: '10.0.0.1:4000', insecure: true }];
      open.templates['pump'] = {
        ...PUMP,
        tags: { a: { address: 7, type: 'int16' }, b: { address: 7, type: 'int16' } },
      };
    });
    const loaded = load(raw);
    expect(loaded.problems.map(({ path }) => path)).toEqual([
      '$.kernels[0]',
      '$.templates.pump.tags.b.address',
    ]);
    expect(loaded.site.kernels).toEqual([{ host: '10.0.0.1', port: 4000, insecure: true }]);
  });
});

describe('expanding', () => {
  it('fills in placeholders, types and indexes', () => {
    const raw = site(({ lines, templates }) => {
      templates['pump'] = {
        parameters: { base: 'integer', medium: { type: 'text', default: 'water' } },
        tags: {
          run: { table: 'coil', address: '{base}', description: '{medium} of {station}, unit {unit}' },
          raw: { address: '{base}+1', type: 'uint64' },
          scaled: { address: '{base}+5', type: 'int16', scale: 0.1 },
          float: { address: '{base}*2', type: 'float32', formerly: ['{station}.old'] },
        },
      };
      lines['dcs'] = {
        driver: 'opcua',
        endpoint: 'opc.tcp://h:1/x',
        stations: [
          { name: 'R1', tags: [{ name: 't', nodeId: 'ns=1;s={station}.{tag}', type: 'text', scan: '2s' }] },
        ],
      };
    });
    const loaded = load(raw);
    expect(modbusTags(loaded)).toMatchObject([
      {
        index: 0,
        name: 'P1.run',
        type: 'bool',
        rawType: 'bit',
        address: 100,
        description: 'water of P1, unit 1',
      },
      { index: 1, name: 'P1.raw', type: 'int64', address: 101, origin: 'template pump, station P1' },
      { index: 2, name: 'P1.scaled', type: 'float64', scale: 0.1, scanMs: 1000 },
      { index: 3, name: 'P1.float', type: 'float64', address: 200, formerly: ['P1.old'] },
    ]);
    expect(opcuaTags(loaded)).toMatchObject([
      { index: 4, name: 'R1.t', nodeId: 'ns=1;s=R1.t', samplingIntervalMs: 2000, queueSize: 10 },
    ]);
    const [process] = loaded.site.processes;
    expect(process && dictionaryOf(loaded.site, process).tags.map(({ name }) => name)).toEqual([
      'P1.run',
      'P1.raw',
      'P1.scaled',
      'P1.float',
      'R1.t',
    ]);
  });

  it('takes the value nearest to the tag and tells where it came from', () => {
    const raw = site((open) => {
      open['defaults'] = { scan: '10s', deadband: 1, reportAtLeastEvery: '1h' };
      open.templates['pump'] = {
        parameters: { base: 'integer' },
        tags: {
          own: { address: 1, type: 'float32', scan: '200ms' },
          inherited: { address: 3, type: 'float32' },
          overridden: { address: 5, type: 'float32', scan: '200ms' },
          bit: { address: 7, type: 'bit', bitIndex: 0 },
        },
      };
      open.lines['plc'] = {
        driver: 'modbus-tcp',
        address: 'h',
        scan: '5s',
        stations: {
          P1: {
            template: 'pump',
            parameters: { base: 0 },
            deadband: 2,
            overrides: { overridden: { scan: '3s', deadband: 0 } },
          },
        },
      };
    });
    const loaded = load(raw, { explain: true });
    expect(modbusTags(loaded).map(({ scanMs, deadband }) => [scanMs, deadband])).toEqual([
      [200, 2],
      [5000, 2],
      [3000, 0],
      [5000, 0],
    ]);
    const origin = (tag: string, key: string): string | undefined =>
      loaded.explained.get(tag)?.find((each) => each.key === key)?.origin;
    expect(origin('P1.own', 'scan')).toBe('template pump');
    expect(origin('P1.inherited', 'scan')).toBe('line plc');
    expect(origin('P1.inherited', 'deadband')).toBe('station P1');
    expect(origin('P1.overridden', 'scan')).toBe('override of station P1');
    expect(origin('P1.own', 'reportAtLeastEvery')).toBe('site defaults');
    expect(origin('P1.own', 'byteOrder')).toBe('default');
  });

  it.each([
    ['1s', 250, 500, 5000],
    ['10s', 1000, 5000, 10_000],
    ['60s', 5000, 30_000, 60_000],
  ])('derives the ages of powerCutLossMax %s', (powerCutLossMax, blockAgeMs, spillAgeMs, aliveMarkMs) => {
    const raw = site((open) => {
      ((open['processes'] as Json)['KomA'] as Json)['buffer'] = { powerCutLossMax };
    });
    const buffer = load(raw).site.processes[0]?.buffer;
    expect(buffer).toMatchObject({ blockAgeMs, spillAgeMs, aliveMarkMs });
  });
});

describe('CSV', () => {
  const withCsv = (stations: unknown, tags?: unknown): Json =>
    site(({ lines, templates }) => {
      lines['plc'] = { driver: 'modbus-tcp', address: 'h', stations };
      if (tags !== undefined) templates['meter'] = { tags };
    });

  it('makes stations from rows: keys of a station, then parameters of its template', () => {
    const files = filesOf({
      '/etc/kom/s.csv': '# remark; with a semicolon\nname;unit;scan;base\nP1;1;;100\nP2;2;2s;200\n',
    });
    const loaded = load(withCsv({ csv: 's.csv', template: 'pump', scan: '5s' }), files);
    expect(modbusTags(loaded).map(({ name, address, scanMs }) => [name, address, scanMs])).toEqual([
      ['P1.flow', 102, 5000],
      ['P2.flow', 202, 2000],
    ]);
  });

  it('makes tags from rows, also without a template', () => {
    const files = filesOf({
      '/etc/kom/t.csv':
        'name,address,type,scale,formerly,description\nu,0,int16,0.1,A.u|B.u,"Voltage, L1"\nv,4+2,uint16,,,\n',
    });
    const loaded = load(withCsv({ M1: { tags: { csv: 't.csv' } } }), files);
    expect(modbusTags(loaded)).toMatchObject([
      {
        name: 'M1.u',
        scale: 0.1,
        formerly: ['A.u', 'B.u'],
        description: 'Voltage, L1',
        origin: 'station M1, station M1, t.csv line 2',
      },
      { name: 'M1.v', address: 6, type: 'int64' },
    ]);
  });

  it('names file and line of what is wrong', () => {
    const files = filesOf({
      '/etc/kom/s.csv': 'name,unit,base\nP1,300,100\nP1,1,x\nP2,1,5\nP2,1,5\n,1,5\n',
      '/etc/kom/t.csv': 'name,adress,type\na,1,int16\n',
    });
    const found = problemsOf(withCsv({ csv: 's.csv', template: 'pump' }, { csv: 't.csv' }), files);
    const path = '$.processes.KomA.lines.plc.stations.csv';
    expect(found.map((each) => [each.path, each.text])).toEqual([
      ['$.templates.meter.tags.csv.adress', expect.stringContaining('did you mean "address"?; t.csv')],
      [`${path}.unit`, expect.stringContaining('at most 255; 300; s.csv line 2')],
      [`${path}.name`, expect.stringContaining('s.csv line 6')],
      [`${path}.name`, expect.stringContaining('"P2" stands twice in this list; s.csv line 5')],
      [`${path}.parameters.base`, expect.stringContaining('integer; "x"; s.csv line 3')],
    ]);
  });

  it('tells of a file that is not there', () => {
    const found = problemsOf(withCsv({ csv: 'none.csv' }), filesOf({}));
    expect(found).toEqual([
      {
        path: '$.processes.KomA.lines.plc.stations.csv',
        text: expect.stringContaining('no file /etc/kom/none.csv'),
      },
    ]);
  });
});

describe('include', () => {
  const main = (): Json => ({ ...site(), include: ['parts/*.json'] });

  it('merges the keys of other files', () => {
    const part = {
      $schema: 'x',
      $comment: 'y',
      templates: { valve: { tags: {} } },
      processes: { KomA: { lines: {} } },
    };
    const files = filesOf({ '/etc/kom/parts/valves.json': JSON.stringify(part) });
    expect(load(main(), files).site.processes[0]?.lines.map(({ name }) => name)).toEqual(['plc']);
  });

  it('names both files of a clash, and the file of a problem', () => {
    const files = filesOf({
      '/etc/kom/parts/a.json': '{"templates":{"pump":{"description":"1"}},"servers":{"B":{"instance":99}}}',
      '/etc/kom/parts/b.json': '{"templates":{"pump":{"description":"2"}}}',
    });
    expect(problemsOf(main(), { ...files, file: 'site.json' })).toEqual([
      {
        path: '$.templates.pump.description',
        text: expect.stringContaining('given by parts/a.json and by parts/b.json'),
      },
      { path: '$.servers.B.instance', text: expect.stringContaining('at most 15; 99; parts/a.json') },
    ]);
  });

  it('tells of a pattern without files and of an include in an included file', () => {
    expect(problemsOf(main(), filesOf({}))).toMatchObject([{ path: '$.include[0]' }]);
    const files = filesOf({ '/etc/kom/parts/a.json': '{"include":["b.json"]}' });
    expect(problemsOf(main(), files)[0]?.text).toContain('includes nothing further');
  });
});

describe('servers', () => {
  const twoServers = (): Json =>
    site(({ servers, lines }) => {
      servers['A'] = { instance: 1, data: '/var/a', serial: { bus: '/dev/ttyA' }, flash: { tbw: '20TB' } };
      servers['B'] = { instance: 2, data: 'b', controlSocket: '/run/kom/b.sock', status: '0.0.0.0:8080' };
      lines['bus'] = { driver: 'modbus-rtu', device: '/dev/ttyS1', parity: 'none', stations: {} };
      lines['dcs'] = { driver: 'opcua', endpoint: 'opc.tcp://h:1', stations: {} };
    });

  it('fills in paths, the serial device and the certificates of the chosen server', () => {
    const a = load(twoServers(), { server: 'A' }).site;
    const b = load(twoServers(), { server: 'B' }).site;
    expect(a.servers).toEqual([
      {
        name: 'A',
        instance: 1,
        dataDirectory: '/var/a',
        controlSocket: '/var/a/kom.sock',
        flashTbwBytes: 2e13,
      },
      {
        name: 'B',
        instance: 2,
        dataDirectory: '/etc/kom/b',
        controlSocket: '/run/kom/b.sock',
        status: { host: '0.0.0.0', port: 8080 },
      },
    ]);
    const linesOf = (made: typeof a) => made.processes[0]?.lines;
    expect(linesOf(a)?.[1]).toMatchObject({ channel: { device: '/dev/ttyA', stopBits: 2 } });
    expect(linesOf(b)?.[1]).toMatchObject({ channel: { device: '/dev/ttyS1' } });
    expect(linesOf(a)?.[2]).toMatchObject({ pkiDirectory: '/var/a/pki' });
    expect(linesOf(b)?.[2]).toMatchObject({ pkiDirectory: '/etc/kom/b/pki' });
  });

  it('has one hash on both servers and wherever the file lies, and another for another content', () => {
    const hash = load(twoServers(), { server: 'A' }).site.hash;
    expect(hash).toMatch(/^[0-9a-f]{32}$/);
    expect(load(twoServers(), { server: 'B', directory: '/home' }).site.hash).toBe(hash);
    const changed = twoServers();
    changed['nameTemplate'] = '{process}.{station}.{tag}';
    expect(load(changed).site.hash).not.toBe(hash);
  });

  it('does not know a server that is not in the file, nor a serial line that is not', () => {
    expect(problemsOf(twoServers(), { server: 'C' })).toMatchObject([{ path: '$.servers.C' }]);
    const raw = twoServers();
    raw['servers'] = { A: { instance: 1, serial: { buss: '/dev/x' } } };
    expect(problemsOf(raw)[0]?.text).toContain('did you mean "bus"?');
  });
});

describe('secrets', () => {
  const withPassword = (password: unknown): Json =>
    site(({ lines }) => {
      const user = { name: 'kom', password };
      lines['dcs'] = {
        driver: 'opcua',
        endpoint: 'opc.tcp://h:1',
        securityPolicy: 'Basic256Sha256',
        user,
        stations: {},
      };
    });
  const userOf = (loaded: LoadedSite): unknown => {
    const line = loaded.site.processes[0]?.lines[1];
    return line?.driver === 'opcua' ? line.user : undefined;
  };

  it('come from the environment or from a file', () => {
    const environment = (name: string): string | undefined => (name === 'PW' ? 'one' : undefined);
    expect(userOf(load(withPassword({ env: 'PW' }), { environment }))).toEqual({
      name: 'kom',
      password: 'one',
    });
    const files = filesOf({ '/etc/kom/pw': 'two\n' });
    expect(userOf(load(withPassword({ file: 'pw' }), files))).toEqual({ name: 'kom', password: 'two' });
  });

  it('are a problem when they are missing, and a warning when the file is only checked', () => {
    const options = { environment: () => undefined };
    const path = '$.processes.KomA.lines.dcs.user.password';
    expect(problemsOf(withPassword({ env: 'PW' }), options)).toMatchObject([{ path }]);
    expect(load(withPassword({ env: 'PW' }), { ...options, secretsOptional: true }).problems).toMatchObject([
      { path },
    ]);
  });
});

describe('size', () => {
  it('expands 20,000 tags within 5 s', () => {
    const raw = site(({ lines, templates }) => {
      const tags = Array.from({ length: 100 }, (_, n) => [
        `tag${n}`,
        { address: `{base}+${n * 2}`, type: 'float32' },
      ]);
      templates['big'] = { parameters: { base: 'integer' }, tags: Object.fromEntries(tags) };
      const stations = Array.from({ length: 200 }, (_, n) => [
        `S${n}`,
        { unit: n, template: 'big', parameters: { base: n } },
      ]);
      lines['plc'] = { driver: 'modbus-tcp', address: 'h', stations: Object.fromEntries(stations) };
    });
    const startedMs = performance.now();
    expect(modbusTags(load(raw, { explain: true }))).toHaveLength(20_000);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });
});

describe('files of this repository', () => {
  it.each(['examples/site.json', 'examples/site-small.json'])('%s loads without a warning', async (path) => {
    expect((await loadSite(path)).problems).toEqual([]);
  });

  it('examples/site.json is the site of the demo', async () => {
    const loaded = await loadSite('examples/site.json');
    const modbus = modbusTags(loaded);
    const opcua = opcuaTags(loaded);
    expect(modbus.length + opcua.length).toBeGreaterThanOrEqual(200);
    expect(opcua.length).toBeGreaterThanOrEqual(80);
    expect(new Set(modbus.map(({ rawType }) => rawType)).size).toBe(9);
    expect(new Set(modbus.map(({ table }) => table)).size).toBe(4);
    expect(
      new Set(modbus.map(({ wordOrder, byteOrder }) => wordOrder + byteOrder)).size,
    ).toBeGreaterThanOrEqual(3);
    expect(new Set(opcua.map(({ type }) => type)).size).toBe(4);
    expect(new Set(modbus.map(({ scanMs }) => scanMs))).toEqual(new Set([200, 500, 1000, 2000]));
    expect([...modbus, ...opcua].every(({ deadband }) => deadband === 0)).toBe(true);
    expect(loaded.site.servers).toMatchObject([
      { name: 'ServerKom1', instance: 1, dataDirectory: resolve('examples/data/ServerKom1') },
    ]);
  });

  it('tells of a file that is not there', async () => {
    await expect(loadSite('examples/none.json')).rejects.toMatchObject({ code: 'KOM_CONFIG_UNREADABLE' });
  });
});

describe('the Kernel file', () => {
  it('has defaults for everything', () => {
    expect(resolveKernelConfig({}, { directory: '/etc/kom' }).config).toEqual({
      listen: { host: '127.0.0.1', port: 3119 },
      insecure: false,
      archive: { kind: 'embedded', directory: '/etc/kom/data/kernel', memoryLimitBytes: 512e6 },
      controlSocket: '/etc/kom/data/kernel/kom-kernel.sock',
    });
  });

  it('listens elsewhere than on loopback only where the file says so', () => {
    const listen = '0.0.0.0:3119';
    expect(() => resolveKernelConfig({ listen }, { directory: '/' })).toThrow('"insecure": true');
    expect(resolveKernelConfig({ listen, insecure: true }, { directory: '/' }).problems).toMatchObject([
      { path: '$.listen' },
    ]);
  });

  it('has all its mistakes named', () => {
    const raw = { listen: 'nowhere:x', archive: { kind: 'oracle', memoryLimit: '1' }, extra: 1 };
    expect(() => resolveKernelConfig(raw, { directory: '/' })).toThrow('4 problems');
  });
});
