import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { until } from './support/until.ts';

const LAUNCH = join(import.meta.dirname, '../../bin/launch.cjs');
const directory = mkdtempSync(join(tmpdir(), 'kom-launcher-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const program = join(directory, 'program.cjs');
writeFileSync(
  program,
  `
    require(${JSON.stringify(LAUNCH)}).watchLauncher();
    const [what] = process.argv.slice(2);
    const end = () => { console.log('in order'); process.exit(7); };
    if (what === 'orderly') process.on('SIGTERM', end).on('SIGINT', end);
    if (what === 'again' && process.env.AGAIN === undefined) {
      const all = [process.execPath, ...process.argv.slice(1)];
      process.execve(process.execPath, all, { ...process.env, AGAIN: '1' });
    }
    if (what === 'parent')
      require('node:child_process').spawn(process.execPath, [__filename, 'child'], { stdio: 'inherit' });
    console.log('pid', process.pid);
    setInterval(() => {}, 1000);
  `,
);

/** A launcher with a program below it. */
class Launched {
  readonly launcher: ChildProcess;
  text = '';

  private constructor(what: string) {
    const args = JSON.stringify([program, what]);
    const code = `require(${JSON.stringify(LAUNCH)}).launch(process.execPath, ${args})`;
    this.launcher = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.launcher.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
    onTestFinished(() => {
      for (const pid of [this.launcher.pid ?? 0, ...this.pids]) {
        if (stateOf(pid) !== null) process.kill(pid, 'SIGKILL');
      }
    });
  }

  static async start(what: string, processes = 1): Promise<Launched> {
    const launched = new Launched(what);
    await until('the program', () => launched.pids.length === processes);
    return launched;
  }

  get pids(): number[] {
    return [...this.text.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));
  }

  async kill(signal: NodeJS.Signals): Promise<unknown[]> {
    this.launcher.kill(signal);
    return await once(this.launcher, 'exit');
  }
}

/** As in proc(5); `null`: it is gone. */
function stateOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = ''] = text.slice(text.lastIndexOf(')') + 2);
    return state === 'Z' ? null : state;
  } catch {
    return null;
  }
}

describe.runIf(process.platform === 'linux')('a launcher', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('passes %s on, and ends as by it', async (signal, code) => {
    const launched = await Launched.start('plain');
    expect(await launched.kill(signal)).toEqual([code, null]);
    expect(launched.pids.map(stateOf)).toEqual([null]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with what the program says at %s', async (signal) => {
    const launched = await Launched.start('orderly');
    expect(await launched.kill(signal)).toEqual([7, null]);
  });

  it('ends as a program that is killed', async () => {
    const launched = await Launched.start('plain');
    const [pid = 0] = launched.pids;
    process.kill(pid, 'SIGKILL');
    expect(await once(launched.launcher, 'exit')).toEqual([137, null]);
  });

  it.each(['plain', 'orderly', 'again'])('that is killed leaves no program running (%s)', async (what) => {
    const launched = await Launched.start(what);
    await launched.kill('SIGKILL');
    await until('the end of the program', () => launched.pids.every((pid) => stateOf(pid) === null));
    expect(launched.text.includes('in order')).toBe(what === 'orderly');
  });

  it('is not taken for that of what the program starts', async () => {
    const launched = await Launched.start('parent', 2);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(launched.pids.map(stateOf)).toEqual(['S', 'S']);
  });

  it('stops and goes on together with the program, as Ctrl-Z and fg ask', async () => {
    const launched = await Launched.start('plain');
    const states = () => [launched.launcher.pid ?? 0, ...launched.pids].map(stateOf).join('');
    launched.launcher.kill('SIGTSTP');
    await until('both to stand still', () => states() === 'TT');
    launched.launcher.kill('SIGCONT');
    await until('both to go on', () => states() === 'SS');
  });
});
