import { posix } from 'node:path';
import { type Finding, importsOf, isProduct, isTest, type SourceFile } from './source.ts';

/**
 * Who may see whom. `world` is its interfaces; `world/real` and `world/simulated` are what stands behind
 * them. A layer always sees itself. Tests see everything.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  world: ['domain'],
  'world/real': ['domain', 'world'],
  'world/simulated': ['domain', 'world'],
  'config/model': ['domain', 'world'],
  config: ['domain', 'world', 'config/model'],
  drivers: ['domain', 'world', 'config/model'],
  buffer: ['domain', 'world', 'config/model'],
  uplink: ['domain', 'world', 'config/model', 'buffer'],
  redundancy: ['domain', 'world', 'config/model', 'buffer', 'uplink'],
  kernel: ['domain', 'world', 'config/model', 'buffer', 'uplink', 'ops', 'pki'],
  sim: ['domain', 'world', 'config/model'],
  pki: ['domain', 'world', 'config/model'],
  ops: ['domain', 'world', 'config/model', 'config', 'drivers'],
  agent: [
    'domain',
    'world',
    'config/model',
    'config',
    'drivers',
    'buffer',
    'uplink',
    'redundancy',
    'ops',
    'pki',
  ],
  cli: [
    'domain',
    'world',
    'world/real',
    'config/model',
    'config',
    'drivers',
    'buffer',
    'uplink',
    'redundancy',
    'kernel',
    'sim',
    'ops',
    'pki',
    'agent',
  ],
  main: ['cli'],
};

/**
 * The one place, a file or a folder, of each thing that is not ours: third-party packages, and the modules
 * of Node that reach outside the process. A package without a place here has not been thought about.
 */
export const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@duckdb/node-api': ['src/kernel/archive/'],
  '@peculiar/x509': ['src/pki/issue.ts'],
  commander: ['src/cli/'],
  'csv-parse': ['src/config/'],
  level: ['src/world/real/level-disk.ts'],
  'modbus-serial': ['src/drivers/modbus/', 'src/sim/modbus/'],
  'node-opcua': ['src/sim/opcua/'],
  'node-opcua-client': ['src/drivers/opcua/'],
  pg: ['src/kernel/archive/postgres/connection.ts'],
  'pg-copy-streams': ['src/kernel/archive/postgres/connection.ts'],
  pino: ['src/world/real/log.ts'],
  protobufjs: ['src/uplink/'],
  'reflect-metadata': ['src/pki/issue.ts'],
  zod: ['src/config/'],
  'node:child_process': ['src/cli/'],
  'node:events': ['src/world/real/'],
  'node:fs': [
    'src/world/real/',
    'src/config/',
    'src/cli/',
    'src/drivers/modbus/serial-device.ts',
    'src/drivers/opcua/pki.ts',
    'src/kernel/archive/',
    'src/sim/',
    'src/uplink/protobuf.ts',
  ],
  'node:http': ['src/world/real/'],
  'node:module': ['src/sim/modbus/'],
  'node:net': ['src/world/real/', 'src/sim/modbus/'],
  'node:os': ['src/config/', 'src/cli/', 'src/drivers/opcua/pki.ts', 'src/sim/opcua/'],
  'node:readline': ['src/cli/'],
  'node:stream': ['src/world/real/', 'src/sim/modbus/'],
  'node:timers': ['src/world/real/'],
  'node:tls': ['src/world/real/'],
  'node:tty': ['src/cli/'],
  'node:v8': ['src/cli/'],
  'node:worker_threads': ['src/cli/'],
};

/** Modules of Node that only compute; everything but `domain` may use them. */
const PURE_MODULES = new Set([
  'node:assert',
  'node:buffer',
  'node:crypto',
  'node:path',
  'node:url',
  'node:util',
]);

/** What `domain` may import, by one file each. */
const DOMAIN_MODULES = ['node:zlib', 'node:crypto'];

/** Layer of a file of the product: the longest name that fits; `undefined` for a part that nobody planned. */
export function layerOf(path: string): string | undefined {
  if (path === 'src/main.ts') return 'main';
  const place = path.replace(/^src\//, '').replace(/\.ts$/, '');
  const fits = Object.keys(LAYERS).filter((name) => place === name || place.startsWith(`${name}/`));
  return fits.sort((left, right) => right.length - left.length)[0];
}

/** Imports that go against the layers. */
export function checkLayers(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files.filter(isProduct)) {
    const layer = layerOf(file.path);
    if (layer === undefined) {
      findings.push({
        path: file.path,
        line: 1,
        message:
          'belongs to no layer: move it into one, or give the part a line in LAYERS of test/tidy/layers.ts',
      });
      continue;
    }
    for (const { specifier, line } of importsOf(file)) {
      if (!specifier.startsWith('.')) continue;
      const message = complaint(layer, posix.join(posix.dirname(file.path), specifier));
      if (message !== undefined) findings.push({ path: file.path, line, message });
    }
  }
  return findings;
}

function complaint(layer: string, target: string): string | undefined {
  if (!target.startsWith('src/')) return `imports ${target} from outside src; pass it in as a value`;
  if (isTest(target)) return `imports the test ${target}; move what both need into a file of the product`;
  const targetLayer = layerOf(target) ?? target;
  const allowed = LAYERS[layer] ?? [];
  if (targetLayer === layer || allowed.includes(targetLayer)) return undefined;
  const below = allowed.length === 0 ? 'nothing of ours' : allowed.join(', ');
  const instead =
    targetLayer === 'world/real' || targetLayer === 'world/simulated'
      ? 'take the interface of src/world and let the caller pass the thing in'
      : `it may import ${below}; move what both need down`;
  return `${layer} imports ${targetLayer}; ${instead}`;
}

/** Packages and modules of Node used away from their place. */
export function checkHomes(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  const domainUsers = new Map<string, string>();
  for (const file of files.filter(isProduct)) {
    for (const { specifier, line } of importsOf(file)) {
      if (specifier.startsWith('.')) continue;
      const message =
        layerOf(file.path) === 'domain'
          ? domainComplaint(file.path, specifier, domainUsers)
          : homeComplaint(file.path, specifier);
      if (message !== undefined) findings.push({ path: file.path, line, message });
    }
  }
  return findings;
}

function domainComplaint(path: string, specifier: string, users: Map<string, string>): string | undefined {
  if (!DOMAIN_MODULES.includes(specifier)) {
    return `domain imports ${specifier}; it computes only, take the value as a parameter`;
  }
  const user = users.get(specifier) ?? path;
  users.set(specifier, user);
  return user === path
    ? undefined
    : `${specifier} is imported by ${user} already; use what that file exports`;
}

function homeComplaint(path: string, specifier: string): string | undefined {
  if (PURE_MODULES.has(specifier)) return undefined;
  const name = packageOf(specifier);
  const homes = HOMES[name];
  if (homes === undefined)
    return `${name} has no place: give it one file or folder in HOMES of test/tidy/layers.ts`;
  if (homes.some((home) => path === home || (home.endsWith('/') && path.startsWith(home)))) return undefined;
  return `${name} belongs to ${homes.join(', ')}; use what is exported there, or an interface of src/world`;
}

/** `zod/v4/core` is of `zod`, `@duckdb/node-api/x` of `@duckdb/node-api`, `node:fs/promises` of `node:fs`. */
function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}
