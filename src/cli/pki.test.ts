import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode } from './exit-codes.ts';
import { runCommandLine } from './program.ts';

const SITE = {
  site: 'Plant 1',
  kernels: [{ address: '10.0.0.5' }, { address: '10.0.0.6', insecure: true }],
  servers: { ServerKom1: { instance: 1, data: './1' }, ServerKom2: { instance: 2, data: './2' } },
  processes: { KomA: { lines: {} }, KomB: { servers: ['ServerKom2'], lines: {} } },
};

describe('kom pki', () => {
  let directory = '';
  let lines: string[] = [];
  let notes: string[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kom-pki-'));
    writeFileSync(join(directory, 'site.json'), JSON.stringify(SITE));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  async function run(...args: string[]): Promise<number> {
    lines = [];
    notes = [];
    const output = {
      ...{ line: (text: string) => void lines.push(text), note: (text: string) => void notes.push(text) },
      ...{ isTerminal: false, columns: 100 },
    };
    const isOfSite = args[0] === 'init' || args[0] === 'trust';
    const where = isOfSite ? [join(directory, 'site.json')] : [];
    const pki = isOfSite ? [] : ['--directory', join(directory, 'pki')];
    return await runCommandLine(['pki', args[0] ?? '', ...where, ...args.slice(1), ...pki], output);
  }
  const path = (name: string): string => join(directory, 'pki', name);

  it('makes a folder for each machine of a site file, and keys for nobody else', async () => {
    expect(await run('init')).toBe(ExitCode.ok);
    expect(readdirSync(path(''))).toEqual([
      ...['ServerKom1', 'ServerKom2', 'ca-key.pem', 'ca.pem', 'crl.pem', 'issued', 'kernel.10.0.0.5'],
    ]);
    for (const name of ['ServerKom1/key.pem', 'kernel.10.0.0.5/key.pem', 'ca-key.pem']) {
      expect(statSync(path(name)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(path('')).mode & 0o777).toBe(0o700);
    expect(lines.join('\n')).toMatch(/kernel\.10\.0\.0\.5 +made .* tls\/kernel\//);
    expect(notes.join('\n')).toContain('"tls": {}');
    await run('list');
    const komB = 'urn:kom:Plant%201:agent:KomA:2 urn:kom:Plant%201:agent:KomB:2';
    expect(lines.find((line) => line.startsWith('ServerKom2'))).toContain(komB);
  });

  it('keeps what is there when it runs again; list, renew and revoke do what they say', async () => {
    await run('init');
    const key = readFileSync(path('ServerKom1/key.pem'), 'utf8');
    const certificate = readFileSync(path('ServerKom1/certificate.pem'), 'utf8');
    expect(await run('init', '--kernel', 'central=10.0.0.5,fd00::5')).toBe(ExitCode.ok);
    expect(lines.join('\n')).toMatch(/ServerKom1 +unchanged/);
    expect(readFileSync(path('ServerKom1/key.pem'), 'utf8')).toBe(key);
    expect(await run('renew', 'ServerKom1', '--days', '10')).toBe(ExitCode.ok);
    expect(readFileSync(path('ServerKom1/key.pem'), 'utf8')).toBe(key);
    expect(readFileSync(path('ServerKom1/certificate.pem'), 'utf8')).not.toBe(certificate);
    expect(await run('revoke', 'kernel.10.0.0.5')).toBe(ExitCode.ok);
    await run('list', '--json');
    const listed = lines.map(
      (line) => JSON.parse(line) as { name: string; isRevoked: boolean; daysLeft: number },
    );
    expect(listed.find(({ name }) => name === 'kernel.10.0.0.5')?.isRevoked).toBe(true);
    expect(listed.find(({ name, daysLeft }) => name === 'ServerKom1' && daysLeft === 9)).toBeDefined();
  });

  it('says which Kernels are to be named', async () => {
    await run('init', '--help');
    expect(lines.join(' ').replaceAll(/\s+/g, ' ')).toContain(
      'each of a group, by redundancy.name of its file',
    );
  });

  it.each([
    [['list'], ExitCode.unavailable, 'kom pki init'],
    [['init', '--kernel', '../x=1'], ExitCode.usage, 'NAME=HOST'],
    [['init', '--kernel', 'KC'], ExitCode.usage, 'NAME=HOST'],
    [['init', '--kernel', 'KC='], ExitCode.usage, 'NAME=HOST'],
    [['init', '--kernel', 'KC=10.0.0.7,'], ExitCode.usage, 'NAME=HOST'],
    [['init', '--kernel', 'KC=10.0.0.7=10.0.0.8'], ExitCode.usage, 'NAME=HOST'],
    [['init', '--kernel', 'KC=10.0.0.7:3119'], ExitCode.usage, 'without ports'],
    [['init', '--kernel', 'KC=10.0.0.7', '--kernel', 'KC=10.0.0.8'], ExitCode.usage, 'KC is named already'],
    [['init', '--days', '0'], ExitCode.usage, '1 to 7300'],
    [['trust', 'AABBCCDD', '--server', 'ServerKom1'], ExitCode.usage, '0 refused certificates'],
  ] as const)('%j is answered with %i', async (args, code, text) => {
    if (args[0] === 'trust')
      writeFileSync(join(directory, 'site.json'), JSON.stringify({ ...SITE, tls: {} }));
    expect(await run(...args)).toBe(code);
    expect(notes.join('\n')).toContain(text);
    expect(existsSync(path(''))).toBe(false);
  });
});
