import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dictionaryOf } from './dictionary.ts';
import { type LoadedSite, loadSite } from './load.ts';
import { filesOf, type Json, load, modbusTags, opcuaTags, PUMP, problemsOf, site } from './site.fixture.ts';

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
    expect(loaded.site.kernels).toMatchObject([{ host: '10.0.0.1', port: 4000, insecure: true }]);
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
    expect(buffer?.maxAgeUnackedMs, 'only room counts').toBeUndefined();
  });

  it('takes maxAgeUnacked where it is given, and not one that is too short to be meant', () => {
    const withAge = (maxAgeUnacked: string): Json =>
      site((open) => {
        ((open['processes'] as Json)['KomA'] as Json)['buffer'] = { maxAgeUnacked };
      });
    expect(load(withAge('30d')).site.processes[0]?.buffer.maxAgeUnackedMs).toBe(30 * 86_400_000);
    expect(problemsOf(withAge('30s'))[0]?.path).toContain('maxAgeUnacked');
  });

  it('takes maxAgeAcknowledged only where something that was acknowledged is kept', () => {
    const withAge = (store: string): Json =>
      site((open) => {
        ((open['processes'] as Json)['KomA'] as Json)['buffer'] = { store, maxAgeAcknowledged: '7d' };
      });
    const buffer = load(withAge('always')).site.processes[0]?.buffer;
    expect(buffer?.maxAgeAcknowledgedMs).toBe(7 * 86_400_000);
    expect(problemsOf(withAge('on-outage'))[0]?.path).toContain('maxAgeAcknowledged');
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
      '/etc/kom/t.csv': [
        'name,address,type,scale,formerly,description',
        'u,0,int16,0.1,A.u|B.u,"Voltage, L1"',
        'v,4+2,uint16,,,',
      ].join('\n'),
    });
    const loaded = load(withCsv({ M1: { tags: { csv: 't.csv' } } }), files);
    expect(modbusTags(loaded)).toMatchObject([
      {
        name: 'M1.u',
        scale: 0.1,
        formerly: ['A.u', 'B.u'],
        description: 'Voltage, L1',
        origin: 'station M1, t.csv line 2',
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
    site((raw) => {
      const { servers, lines } = raw;
      raw['tls'] = {};
      const own = { serial: { bus: '/dev/ttyA' }, flash: { tbw: '20TB' }, tls: { crl: 'list.pem' } };
      servers['A'] = { instance: 1, data: '/var/a', ...own };
      servers['B'] = { instance: 2, data: 'b', controlSocket: '/run/kom/b.sock' };
      lines['bus'] = { driver: 'modbus-rtu', device: '/dev/ttyS1', parity: 'none', stations: {} };
      lines['dcs'] = { driver: 'opcua', endpoint: 'opc.tcp://h:1', stations: {} };
    });

  it('fills in paths, the serial device and the certificates of the chosen server', () => {
    const a = load(twoServers(), { server: 'A' }).site;
    const b = load(twoServers(), { server: 'B' }).site;
    expect(a.servers).toEqual([
      {
        name: 'A',
        peers: [],
        instance: 1,
        dataDirectory: '/var/a',
        controlSocket: '/var/a/kom.sock',
        tls: {
          ...{ ca: '/etc/kom/tls/A/ca.pem', certificate: '/etc/kom/tls/A/certificate.pem' },
          ...{ key: '/etc/kom/tls/A/key.pem', crl: '/etc/kom/list.pem', isCrlOptional: false },
        },
        flashTbwBytes: 2e13,
      },
      {
        name: 'B',
        peers: [],
        instance: 2,
        dataDirectory: '/etc/kom/b',
        controlSocket: '/run/kom/b.sock',
        tls: {
          ...{ ca: '/etc/kom/tls/B/ca.pem', certificate: '/etc/kom/tls/B/certificate.pem' },
          ...{ key: '/etc/kom/tls/B/key.pem', crl: '/etc/kom/tls/B/crl.pem', isCrlOptional: true },
        },
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
    const before = process.cpuUsage();
    expect(modbusTags(load(raw, { explain: true }))).toHaveLength(20_000);
    const { user, system } = process.cpuUsage(before);
    // Processor time: other work on the machine does not count.
    expect((user + system) / 1000).toBeLessThan(5000);
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
