import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { schemaText } from '../config/json-schema.ts';
import { runCommandLine } from './program.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kom-check-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number; lines: string[]; notes: string[] }> {
  const lines: string[] = [];
  const notes: string[] = [];
  const output = {
    line: (text: string) => void lines.push(text),
    note: (text: string) => void notes.push(text),
    isTerminal: false,
    columns: 100,
  };
  const code = await runCommandLine(args, output);
  return { code, lines, notes };
}

describe('kom check', () => {
  it('prints what the site of the examples will do', async () => {
    const { code, lines, notes } = await run('check', 'examples/site.json');
    expect(code).toBe(0);
    expect(notes).toEqual([]);
    const text = lines.join('\n');
    expect(text).toContain('process KomA: 240 tags');
    expect(text).toMatch(/line field: modbus-tcp 127\.0\.0\.1:15020, 160 tags, load \d+ %/);
    expect(text).toMatch(/P1 +1 +on +16 +≤ 30\.0 +7\.2 % +200 ms: 1 in 5\.0 ms, 500 ms: 4 in 20\.0 ms/);
    for (const word of [
      'samples/s',
      'outage held',
      'flash a day',
      'power cut',
      'drop-oldest loses a segment',
    ]) {
      expect(text).toContain(word);
    }
  });

  it('says of the other kind of file that it is one', async () => {
    const kernel = await run('check', 'examples/kernel-postgres.json');
    expect(kernel).toMatchObject({
      code: 2,
      notes: [expect.any(String), expect.stringMatching(/Kernel file: .*--kernel$/)],
    });
    const site = await run('check', '--kernel', 'examples/site.json');
    expect(site).toMatchObject({
      code: 2,
      notes: [expect.any(String), expect.stringMatching(/site file: .* without --kernel$/)],
    });
  });

  it('prints who runs a process and what a standby does', async () => {
    const { code, lines, notes } = await run('check', 'examples/site-redundant.json');
    expect([code, notes]).toEqual([0, []]);
    const text = lines.join('\n');
    for (const line of [
      '  peer 192.168.50.11:3120: the others reach ServerKom1 there',
      '  instances    1 on ServerKom1 (preferred, after 10.0 s), 2 on ServerKom2',
      '  peer link    2 networks, heartbeat 250 ms; without a Kernel a silence of 1.0 s on all',
      '  mirror       the peer holds what the Kernel does not have yet',
      '  standby      line pumps hot',
      '  standby      line bus cold, one client: alone in the dark it is let go',
    ]) {
      expect(text).toContain(line);
    }
  });

  it('prints the origin of each value', async () => {
    const { lines } = await run('check', 'examples/site.json', '--expand');
    const text = lines.join('\n');
    expect(text).toMatch(/P1\.pressure +table +holding-register +default\n +address +102 +template pump/);
    expect(text).toMatch(/Meter1\.power +table .* template meter \(meter-tags\.csv line \d+\)/);
    expect(text).toMatch(/holding-register +100 +102 +2 +200 ms +5\.0 ms/);
  });

  it('prints JSON, without secrets', async () => {
    const site = join(directory, 'site.json');
    writeFileSync(join(directory, 'password'), 'hunter2\n');
    const user = { name: 'kom', password: { file: 'password' } };
    const dcs = { driver: 'opcua', endpoint: 'opc.tcp://h:1', user, stations: {} };
    const raw = {
      site: 'S',
      kernels: [],
      servers: { A: { instance: 1 } },
      processes: { KomA: { lines: { dcs } } },
    };
    writeFileSync(site, JSON.stringify(raw));
    const { code, lines } = await run('check', site, '--json', '--expand');
    expect(code).toBe(0);
    expect(lines.join('')).not.toContain('hunter2');
    const report = JSON.parse(lines.join(''));
    expect(report).toMatchObject({ ok: true, processes: [{ name: 'KomA' }], site: { name: 'S' } });
    expect(report.warnings[0]).toContain('no Kernel');
    expect(report.warnings[1]).toContain('neither signed nor encrypted');
  });

  it('names every mistake and ends with 2', async () => {
    const { code, lines, notes } = await run('check', 'test/config/five-mistakes.json');
    expect(code).toBe(2);
    expect(lines).toEqual([]);
    const paths = [
      '$.servers.ServerKom1.dta:',
      '$.templates.pump.tags.flow.scan:',
      '$.templates.valve.tags.position.address:',
      '$.processes.KomA.lines.plc.stations.P1.template:',
      '$.processes.KomA.lines.dcs.user.password:',
    ];
    expect(notes.join('\n')).toContain('5 problems in five-mistakes.json');
    for (const path of paths) expect(notes.join('\n')).toContain(path);
    const json = await run('check', 'test/config/five-mistakes.json', '--json');
    expect(json.code).toBe(2);
    expect(JSON.parse(json.lines.join('')).problems).toHaveLength(5);
  });

  it('checks a Kernel file too', async () => {
    const { code, lines } = await run('check', '--kernel', 'examples/kernel.json');
    expect(code).toBe(0);
    expect(lines[0]).toBe('kernel on 127.0.0.1:3119');
    expect((await run('check', '--kernel', 'examples/site-small.json')).code).toBe(2);
  });

  it('of a Kernel with a database says what a failover can cost, and no secret', async () => {
    const { code, lines, notes } = await run('check', '--kernel', 'examples/kernel-postgres.json');
    expect(code).toBe(0);
    const place = 'archive postgres: database kom, schema kom at db1.plant:5432, then db2.plant:5432, TLS';
    expect(lines).toContain(place);
    expect(lines).toContain('  as kom_writer, tables made by kom_owner');
    expect(lines).toContain('  months older than 366 d are dropped');
    expect(notes).toContainEqual(expect.stringContaining('can lose what agents were told is archived'));
    expect(notes).toContainEqual(expect.stringContaining('KOM_DATABASE_PASSWORD is not set'));
    const file = join(directory, 'kernel.json');
    const password = { file: join(directory, 'password') };
    writeFileSync(password.file, 'geheim');
    const postgres = { hosts: ['localhost'], user: 'kom', password };
    writeFileSync(file, JSON.stringify({ archive: { kind: 'postgres', postgres } }));
    const json = await run('check', '--kernel', file, '--json');
    expect(json.lines.join()).toContain('"password":"(hidden)"');
    expect(json.lines.join()).not.toContain('geheim');
    expect(JSON.parse(json.lines.join())).toMatchObject({ ok: true, warnings: [] });
  });

  it('of several Kernels says who is hot, and by what', async () => {
    const each = await run('check', '--kernel', 'examples/kernel-redundant-a.json');
    const line = 'KernelA, with KernelB: each has an archive of its own, and an operator says who is hot';
    expect(each.lines).toContain(line);
    expect(each.lines).toContain('  at a first start, before there is a reign, it is hot');
    expect(each.lines).toContainEqual(
      expect.stringMatching(/^ {2}forwarding ring of 8.00 GB in .*kernel-ring$/),
    );
    const folder = 'examples/architectures/7-database-server';
    const shared = await run('check', '--kernel', `${folder}/kernel-1.json`);
    expect(shared.code).toBe(0);
    expect(shared.lines).toContain(
      'ServerApp1, with whoever else shares this schema: who has the lock in the database is hot',
    );
  });

  it('warns of a line that has too much to do', async () => {
    const site = join(directory, 'site.json');
    const tags = { a: { address: 0, type: 'float32', scan: '10ms' } };
    const bus = { driver: 'modbus-rtu', device: '/dev/x', baudRate: 9600, stations: { S: { tags } } };
    const raw = {
      site: 'S',
      kernels: [],
      servers: { A: { instance: 1 } },
      processes: { KomA: { lines: { bus } } },
    };
    writeFileSync(site, JSON.stringify(raw));
    const { code, notes } = await run('check', site);
    expect(code).toBe(0);
    expect(notes.join('\n')).toMatch(/warning: line bus of KomA is loaded \d+ %/);
  });

  it('checks 20,000 tags within 5 s', async () => {
    const site = join(directory, 'site.json');
    const rows = Array.from(
      { length: 100 },
      (_, n) => `tag${n},{base}+${n * 3},float32,${n % 2 ? '1s' : '500ms'}`,
    );
    writeFileSync(join(directory, 'tags.csv'), `name,address,type,scan\n${rows.join('\n')}\n`);
    const stations = Array.from({ length: 200 }, (_, n) => `S${n},${n},${n}`);
    writeFileSync(join(directory, 'stations.csv'), `name,unit,base\n${stations.join('\n')}\n`);
    const plc = { driver: 'modbus-tcp', address: 'h', stations: { csv: 'stations.csv', template: 't' } };
    const raw = {
      site: 'S',
      kernels: [],
      servers: { A: { instance: 1 } },
      templates: { t: { parameters: { base: 'integer' }, tags: { csv: 'tags.csv' } } },
      processes: { KomA: { lines: { plc } } },
    };
    writeFileSync(site, JSON.stringify(raw));
    const before = process.cpuUsage();
    const { code, lines } = await run('check', site, '--expand');
    const { user, system } = process.cpuUsage(before);
    // Processor time: other work on the machine does not count.
    expect((user + system) / 1000).toBeLessThan(5000);
    expect(code).toBe(0);
    expect(lines.filter((line) => line.includes('.tag'))).toHaveLength(20_000);
  });
});

describe('kom init', () => {
  it('writes a starter that passes kom check, and overwrites nothing without --force', async () => {
    const made = await run('init', directory);
    expect(made.code).toBe(0);
    expect(made.lines.every((path) => existsSync(path))).toBe(true);
    const check = await run('check', join(directory, 'site.json'));
    expect([check.code, check.notes]).toEqual([0, []]);
    writeFileSync(join(directory, 'site.json'), 'mine');
    const again = await run('init', directory);
    expect(again.code).toBe(2);
    expect(again.notes.join('\n')).toContain('--force');
    expect(readFileSync(join(directory, 'site.json'), 'utf8')).toBe('mine');
    expect((await run('init', directory, '--force')).code).toBe(0);
    expect(readFileSync(join(directory, 'site.json'), 'utf8')).not.toBe('mine');
  });
});

describe('kom schema', () => {
  it('prints or writes the schema of either file', async () => {
    const file = join(directory, 'kernel.schema.json');
    expect((await run('schema', '--kernel', '--write', file)).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe(schemaText('kernel'));
    const { lines } = await run('schema');
    expect(`${lines.join('\n')}\n`).toBe(schemaText('site'));
  });

  it('tells of a file that cannot be written', async () => {
    expect((await run('schema', '--write', join(directory, 'none', 'x'))).code).toBe(2);
  });
});
