import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { reasonAgainstPowerCuts } from '../crash/power.ts';
import { noNamespaces } from './support/namespaces.ts';
import { until } from './support/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = {
  sim: 'test/simulation/main.ts',
  crash: 'test/crash/main.ts',
  fuzz: 'test/fuzz/main.ts',
  topologies: 'test/topologies/main.ts',
  bench: 'bench/main.ts',
  'test:full': 'test/full/main.ts',
} as const;
const NAMES = Object.keys(MAIN) as (keyof typeof MAIN)[];

function run(name: keyof typeof MAIN, ...args: readonly string[]) {
  return spawnSync(process.execPath, [join(ROOT, MAIN[name]), ...args], { encoding: 'utf8' });
}

test('package.json starts what is tried here', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of NAMES) expect(scripts[name]).toBe(`node ${MAIN[name]}`);
});

test.each(NAMES)('npm run %s tells how it is used, and what it does not know', (name) => {
  const help = run(name, '--help');
  expect(help).toMatchObject({ status: 0, stderr: '' });
  expect(help.stdout).toMatch(/^npm run .*\n\n/);
  expect(run(name, '--nosuch')).toMatchObject({
    ...{ status: 2, stdout: '' },
    stderr: expect.stringMatching(/^there is no option --nosuch; .*\n$/),
  });
});

test('npm run demo, which is the program itself, does so too', () => {
  const kom = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'bin/kom.cjs'), 'demo', ...args], { encoding: 'utf8' });
  expect(kom('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('kom demo') });
  expect(kom('--nosuch')).toMatchObject({ status: 2, stderr: expect.stringContaining('--nosuch') });
});

/** A command that is under way, with the temporary files of all of it in one directory. */
class Begun {
  readonly directory = mkdtempSync(join(tmpdir(), 'kom-command-'));
  readonly #child: ChildProcess;
  text = '';

  constructor(name: keyof typeof MAIN, ...args: readonly string[]) {
    this.#child = spawn(process.execPath, [join(ROOT, MAIN[name]), ...args], {
      env: { ...process.env, TMPDIR: this.directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text;
      });
    }
    onTestFinished(() => {
      this.#child.kill('SIGKILL');
      for (const pid of this.processes) process.kill(pid, 'SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** Those that have a file of it among their arguments. */
  get processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
      .filter((name) => {
        try {
          return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(this.directory);
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  get namespaces(): string[] {
    const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
    return names.filter((name) => new RegExp(`^kom${this.#child.pid}[a-z]`).test(name));
  }

  /** Tells only the command itself, which is the harder way. */
  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    const [code] = await once(this.#child, 'close');
    return code;
  }

  /** Devices with a file of it. */
  get loops(): string[] {
    return readdirSync('/sys/block')
      .map((name) => join('/sys/block', name, 'loop/backing_file'))
      .filter((file) => existsSync(file) && readFileSync(file, 'utf8').startsWith(this.directory));
  }

  /** What of it is there. */
  get left(): unknown {
    return { processes: this.processes, namespaces: this.namespaces, files: readdirSync(this.directory) };
  }
}

const NOTHING = { processes: [], namespaces: [], files: [] };
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

test.runIf(process.platform === 'linux').each(Object.entries(SIGNALS) as [NodeJS.Signals, number][])(
  'npm run crash ends its writers and removes their rings at %s',
  async (signal, code) => {
    const begun = new Begun('crash', '--kills', '1000', '--power-cuts', '0');
    await until('a writer', () => begun.processes.length > 0);
    expect(await begun.stop(signal)).toBe(code);
    expect(begun.left).toEqual(NOTHING);
    expect(begun.text).toBe('');
  },
);

const noPowerCuts = await reasonAgainstPowerCuts();
if (noPowerCuts !== null) console.warn(`disks whose power goes are not tried: ${noPowerCuts}`);

test.runIf(noPowerCuts === null)('npm run crash takes down the disk whose power goes', async () => {
  const begun = new Begun('crash', '--kills', '0', '--power-cuts', '1000');
  await until('a writer on the disk', () => begun.loops.length > 0 && begun.processes.length >= 3, 40_000);
  const [loop = ''] = begun.loops;
  expect(await begun.stop('SIGINT')).toBe(130);
  expect(begun.left).toEqual(NOTHING);
  await until('the device to be free', () => !existsSync(loop) || readFileSync(loop, 'utf8').trim() === '');
  expect(begun.text).not.toContain('    at ');
});

test.runIf(process.platform === 'linux')(
  'npm run topologies ends hosts, namespaces and folders with Ctrl-C',
  async () => {
    const begun = new Begun('topologies', '--figure', '1');
    await until('a Kernel and an agent', () => begun.processes.length >= 3, 40_000);
    if (noNamespaces() === null) expect(begun.namespaces.length).toBeGreaterThan(1);
    expect(await begun.stop('SIGINT')).toBe(130);
    expect(begun.left).toEqual(NOTHING);
    expect(begun.text).not.toContain('    at ');
  },
);

test.runIf(process.platform === 'linux').each([
  ['sim', '--seeds', '100000'],
  ['fuzz', '--seconds', '1000'],
  ['bench', 'line'],
] as const)('npm run %s ends at once with Ctrl-C', async (name, ...args) => {
  const begun = new Begun(name, ...args);
  await until('it to begin', () => readdirSync(begun.directory).length > 0);
  expect(await begun.stop('SIGINT')).toBe(130);
  expect(begun.left).toEqual(NOTHING);
  expect(begun.text).not.toContain('    at ');
});
