import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSizeBytes } from '../src/domain/units.ts';

const HARDWARE = join(import.meta.dirname, '..', 'hardware');
const SCHEMA = JSON.parse(readFileSync(join(HARDWARE, 'profile.schema.json'), 'utf8'));
const PROFILES = readdirSync(join(HARDWARE, 'profiles')).filter((name) => name.endsWith('.json'));

/** The part of JSON Schema that the profile schema uses; anything else in it is a problem of its own. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
}

const KEYWORDS = new Set(
  '$schema $ref $defs title description type enum items properties required additionalProperties'.split(' '),
);

function problemsOf(value: unknown, schema: Schema, at = '$'): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KEYWORDS.has(keyword));
  if (unknown.length > 0)
    return [`${at}: the schema uses ${unknown.join(', ')}, which this test cannot check`];
  const name = schema.$ref?.replace('#/$defs/', '');
  if (name !== undefined) return problemsOf(value, SCHEMA.$defs[name], at);
  if (schema.enum !== undefined) {
    return schema.enum.includes(value) ? [] : [`${at}: expected one of ${schema.enum.join(', ')}`];
  }
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (schema.type !== undefined && ![schema.type].flat().includes(type)) {
    return [`${at}: expected ${schema.type}, got ${type}`];
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? [] : value.flatMap((item, i) => problemsOf(item, items, `${at}[${i}]`));
  }
  return type === 'object' ? problemsOfObject({ ...(value as object) }, schema, at) : [];
}

function problemsOfObject(value: Record<string, unknown>, schema: Schema, at: string): string[] {
  const missing = (schema.required ?? []).filter((key) => !(key in value));
  return [
    ...missing.map((key) => `${at}.${key}: is missing`),
    ...Object.entries(value).flatMap(([key, item]) => {
      const property = schema.properties?.[key];
      if (property !== undefined) return problemsOf(item, property, `${at}.${key}`);
      return schema.additionalProperties === false ? [`${at}.${key}: is not a field of a profile`] : [];
    }),
  ];
}

interface Fact {
  readonly value: string | number | null;
  readonly source: string;
  readonly verified: boolean;
}

interface Profile {
  readonly architecture: string;
  readonly facts: Readonly<Record<string, Fact>>;
  readonly serialPorts: readonly { readonly device: Fact; readonly rs485: Fact }[];
  readonly recommended: { readonly profile: string; readonly capacity: string; readonly memoryMax: string };
  readonly toVerify: readonly string[];
}

const readProfile = (name: string): Profile =>
  JSON.parse(readFileSync(join(HARDWARE, 'profiles', name), 'utf8'));

describe('hardware profiles', () => {
  it('cover x86-64 and arm64', () => {
    const architectures = PROFILES.map((name) => readProfile(name).architecture);
    expect(architectures).toEqual(expect.arrayContaining(['x86-64', 'arm64']));
  });

  it.each(PROFILES)('%s follows the schema', (name) => {
    expect(problemsOf(readProfile(name), SCHEMA)).toEqual([]);
  });

  it.each(PROFILES)('%s is honest about its facts and recommends what fits', (name) => {
    const profile = readProfile(name);
    const ports = profile.serialPorts.flatMap((port) => [port.device, port.rs485]);
    const facts = [...Object.values(profile.facts), ...ports];
    for (const fact of facts) {
      expect(fact.source.length).toBeGreaterThan(10);
      // What is not known, or comes from nobody's datasheet, cannot have been verified.
      if (fact.value === null || /^(from memory|assumption)/.test(fact.source)) {
        expect(fact.verified, fact.source).toBe(false);
      }
    }
    if (facts.some((fact) => !fact.verified)) expect(profile.toVerify.length).toBeGreaterThan(0);
    for (const port of profile.serialPorts) expect(port.device.value).toMatch(/^\/dev\/\w+/);
    const memoryBytes = Number(profile.facts['memoryBytes']?.value);
    const storageBytes = Number(profile.facts['storageBytes']?.value);
    const memoryMaxBytes = Number.parseInt(profile.recommended.memoryMax, 10) * 2 ** 20;
    expect(profile.recommended.memoryMax).toMatch(/^\d+M$/);
    expect(memoryMaxBytes).toBeLessThanOrEqual(memoryBytes / 2);
    const capacityBytes = parseSizeBytes(profile.recommended.capacity);
    expect(capacityBytes).toBeGreaterThan(0);
    // The ring takes up to 1.25 times its capacity, and the system lives on the same storage.
    expect((capacityBytes ?? 0) * 1.25).toBeLessThan(storageBytes / 2);
    expect(profile.recommended.profile).toBe(memoryBytes <= 512 * 2 ** 20 ? 'small' : 'standard');
  });

  it('are refused with the place of each mistake', () => {
    const good = JSON.parse(JSON.stringify(readProfile(PROFILES[0] ?? '')));
    const broken = { ...good, architecture: 'mips', colour: 'grey', toVerify: [1] };
    broken.facts.cpu.verified = 'yes';
    delete broken.recommended.store;
    expect(problemsOf(broken, SCHEMA).sort()).toEqual([
      '$.architecture: expected one of x86-64, arm64, armv7',
      '$.colour: is not a field of a profile',
      '$.facts.cpu.verified: expected boolean, got string',
      '$.recommended.store: is missing',
      '$.toVerify[0]: expected string, got number',
    ]);
  });
});

const UNITS = ['kom@.service', 'kom-kernel.service'] as const;

/** What an agent on a box in the field must not run without. */
const HARDENING: Readonly<Record<string, string>> = {
  NoNewPrivileges: 'yes',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  CapabilityBoundingSet: '',
  RestrictAddressFamilies: 'AF_INET AF_INET6 AF_UNIX',
  SystemCallArchitectures: 'native',
  Restart: 'always',
  KillSignal: 'SIGTERM',
  KillMode: 'mixed',
};

/** Values by section and key, each in the order of the file. */
function parseUnit(text: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  let section = '';
  for (const line of text.split('\n')) {
    const header = /^\[(\w+)\]$/.exec(line);
    const setting = /^(\w+)=(.*)$/.exec(line);
    if (header !== null) section = header[1] ?? '';
    else if (setting !== null) {
      const key = `${section}.${setting[1]}`;
      values.set(key, [...(values.get(key) ?? []), setting[2] ?? '']);
    } else expect(line, 'a line that is no section, setting or comment').toMatch(/^(#.*)?$/);
  }
  return values;
}

describe.each(UNITS)('%s', (name) => {
  const text = readFileSync(join(HARDWARE, 'systemd', name), 'utf8');
  const unit = parseUnit(text);

  it('is hardened and comes back whatever happens', () => {
    const set = Object.keys(HARDENING).map((key) => [key, unit.get(`Service.${key}`)?.join(' ')]);
    expect(Object.fromEntries(set)).toEqual(HARDENING);
    expect(unit.get('Unit.StartLimitIntervalSec')).toEqual(['0']);
    expect(unit.get('Service.SystemCallFilter')?.[0]).toBe('@system-service');
    const stopSeconds = Number(unit.get('Service.TimeoutStopSec')?.[0]);
    expect(stopSeconds).toBeGreaterThanOrEqual(30);
    expect(unit.get('Service.MemoryMax')?.[0]).toMatch(/^\d+[MG]$/);
    const state = unit.get('Service.StateDirectory')?.[0];
    expect(unit.get('Service.ReadWritePaths')).toEqual([`/var/lib/${state}`]);
    expect(unit.get('Service.User')).toEqual(['kom']);
    expect(unit.get('Service.Environment')).toContain('NODE_ENV=production');
  });

  it('names the program as it is', () => {
    const command = unit.get('Service.ExecStart')?.[0] ?? '';
    expect(command).toMatch(/^\/usr\/bin\/node \/opt\/kom\/bin\/kom\.cjs (run|kernel) \/etc\/kom\/\w+\.json/);
  });

  it('has it read its file anew by the signal that it understands', () => {
    expect(unit.get('Service.ExecReload')).toEqual(['/bin/kill -HUP $MAINPID']);
  });

  it('passes systemd’s own check, where there is one', (context) => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
      console.warn(`${name}: not verified by systemd-analyze, which is not installed`);
      context.skip('systemd-analyze is not installed');
    }
    const directory = mkdtempSync(join(tmpdir(), 'kom-unit-'));
    try {
      // It wants the program to exist, which it does on the target only.
      writeFileSync(join(directory, name), text.replace('/usr/bin/node', '/bin/true'));
      const args = ['verify', '--man=no', join(directory, name)];
      const verified = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
      const complaints = verified.stderr.split('\n').filter((line) => line.includes(name));
      expect(complaints).toEqual([]);
      expect(verified.status, verified.stderr).toBe(0);
      const security = ['security', '--offline=true', '--threshold=20', join(directory, name)];
      execFileSync('systemd-analyze', security, { stdio: 'pipe' });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

it('udev rules give stable names, one statement a line', () => {
  const text = readFileSync(join(HARDWARE, 'udev', '99-kom-serial.rules'), 'utf8');
  const rules = text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const term = /^[A-Z_]+(\{[\w]+\})?(==|!=|=|\+=)"[^"]*"$/;
  for (const rule of rules) for (const part of rule.split(/,\s+/)) expect(part.trim()).toMatch(term);
  expect(rules.filter((rule) => rule.includes('SYMLINK+="kom/')).length).toBeGreaterThanOrEqual(3);
  const label = /LABEL="(\w+)"/.exec(text)?.[1];
  for (const [, goto] of text.matchAll(/GOTO="(\w+)"/g)) expect(goto).toBe(label);
});
