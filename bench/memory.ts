import { spawn } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { smallStart } from '../src/cli/small-process.ts';
import type { Bench, Figure } from './support/bench.ts';
import { inDirectory, quantile, rounded } from './support/measure.ts';

const ROOT = join(import.meta.dirname, '..');
const TAGS = 1000;
const STATIONS = 10;
/** Floors of the profile `small`. */
const AGENT_MB_MAX = 90;
const BUFFER_MB_MAX = 24;
/** The garbage collector's moments differ; the median counts. */
const ROUNDS = 5;

/** What an agent with the profile `small` takes, as it is installed: `bin/kom.cjs` on what tsc made. */
export const memoryBench: Bench = {
  about: 'memory of an agent with the profile small: 1,000 Modbus tags, outage and drain (Linux)',
  run: ({ quick }) => inDirectory((directory) => measure(directory, quick)),
};

async function measure(directory: string, quick: boolean): Promise<readonly Figure[]> {
  if (process.platform !== 'linux') return [agentFigure(null), bufferFigure(null), ...fullFigures(null)];
  const full = [];
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) full.push(await measureFull());
  await build(directory);
  const run = await Run.start(directory);
  try {
    await sleep(quick ? 8000 : 20_000);
    const onlineMb = run.agentMb;
    run.cutKernel();
    await sleep(quick ? 10_000 : 60_000);
    run.startKernel();
    await sleep(quick ? 8000 : 20_000);
    const mostMb = run.agentMostMb;
    return [agentFigure(mostMb), bufferFigure(mostMb - onlineMb), ...fullFigures(full)];
  } finally {
    run.stop();
  }
}

function agentFigure(mb: number | null): Figure {
  const about = 'resident at its most, online, in an outage and while it drains';
  return { key: 'agentRssMb', about, value: mb, unit: 'MB', floor: { atMost: AGENT_MB_MAX } };
}

function bufferFigure(mb: number | null): Figure {
  const about = 'of it what ring and window took on top of being online';
  return { key: 'bufferRssMb', about, value: mb, unit: 'MB', floor: { atMost: BUFFER_MB_MAX } };
}

/** A full ring and a full window in a process as `kom run` starts it, and in one that nobody set up. */
type Full = Readonly<Record<'small' | 'plain', number>>;

function fullFigures(rounds: readonly Full[] | null): Figure[] {
  const median = (of: keyof Full): number | null =>
    rounds === null
      ? null
      : rounded(
          quantile(
            rounds.map((each) => each[of]),
            0.5,
          ),
        );
  const about = 'full ring and window, filled, drained, at full speed, on top of making blocks';
  const unit = 'MB';
  return [
    { key: 'fullBufferMb', about, value: median('small'), unit, floor: { atMost: BUFFER_MB_MAX } },
    {
      key: 'fullBufferPlainMb',
      about: 'the same without the settings of kom run',
      value: median('plain'),
      unit,
    },
  ];
}

async function measureFull(): Promise<Full> {
  const again = smallStart({ execArgv: [], environment: process.env });
  const ofRing = async (flags: readonly string[], environment: Environment): Promise<number> => {
    const ring = await inDirectory((at) => peakMb(flags, environment, ['ring', join(at, 'ring')]));
    return ring - (await peakMb(flags, environment, ['blocks']));
  };
  return {
    small: await ofRing(again?.flags ?? [], again?.environment ?? {}),
    plain: await ofRing([], process.env),
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

function peakMb(flags: readonly string[], env: Environment, args: readonly string[]): Promise<number> {
  const path = join(import.meta.dirname, 'ring-memory-child.ts');
  const child = spawn(process.execPath, [...flags, path, ...args], {
    env: { ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  return new Promise((resolve) => child.once('close', () => resolve(Number(text))));
}

/** A tree without sources, so that every Node runs the compiled program. */
async function build(directory: string): Promise<void> {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await done([tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(directory, 'dist')]);
  cpSync(join(ROOT, 'bin'), join(directory, 'bin'), { recursive: true });
  for (const name of ['package.json', 'site.schema.json']) cpSync(join(ROOT, name), join(directory, name));
  const proto = 'uplink/kernel.proto';
  cpSync(join(ROOT, 'src', proto), join(directory, 'dist', proto));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
}

/** Simulated devices, a Kernel and an agent, each in its process. */
class Run {
  readonly #directory: string;
  readonly #sim;
  readonly #agent;
  #kernel;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#sim = this.#kom('sim', '--from', 'site.json');
    this.#kernel = this.#kom('kernel', 'kernel.json');
    this.#agent = this.#kom('run', 'site.json');
  }

  static async start(directory: string): Promise<Run> {
    const [devices, kernel] = [await freePort(), await freePort()];
    writeFileSync(join(directory, 'site.json'), JSON.stringify(siteOf(devices, kernel)));
    const archive = { kind: 'embedded', directory: './archive', memoryLimit: '128MB' };
    writeFileSync(
      join(directory, 'kernel.json'),
      JSON.stringify({ listen: `127.0.0.1:${kernel}`, archive, controlSocket: './kernel.sock' }),
    );
    return new Run(directory);
  }

  get agentMb(): number {
    return this.#memoryMb('VmRSS');
  }

  get agentMostMb(): number {
    return this.#memoryMb('VmHWM');
  }

  cutKernel(): void {
    this.#kernel.kill('SIGKILL');
  }

  startKernel(): void {
    this.#kernel = this.#kom('kernel', 'kernel.json');
  }

  stop(): void {
    for (const child of [this.#sim, this.#kernel, this.#agent]) child.kill('SIGKILL');
  }

  #memoryMb(key: string): number {
    const text = readFileSync(`/proc/${this.#agent.pid}/status`, 'utf8');
    return rounded(Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024);
  }

  #kom(...args: readonly string[]) {
    const bin = join(this.#directory, 'bin', 'kom.cjs');
    return spawn(process.execPath, [bin, ...args], { cwd: this.#directory, stdio: 'ignore' });
  }
}

function siteOf(devices: number, kernel: number): unknown {
  const count = TAGS / STATIONS;
  const tags = Object.fromEntries(
    Array.from({ length: count }, (_, at) => [
      `t${at}`,
      { address: `{base}+${2 * at}`, type: 'float32', scan: '1s' },
    ]),
  );
  const stations = Object.fromEntries(
    Array.from({ length: STATIONS }, (_, at) => [
      `S${at + 1}`,
      { unit: at + 1, template: 'station', parameters: { base: 100 } },
    ]),
  );
  const line = { driver: 'modbus-tcp', address: `127.0.0.1:${devices}`, stations };
  const buffer = { profile: 'small', capacity: '64MB', freeDiskFloor: '1MB' };
  return {
    site: 'Memory',
    kernels: [{ address: `127.0.0.1:${kernel}` }],
    servers: { Server: { instance: 1, data: './data', controlSocket: './agent.sock' } },
    templates: { station: { parameters: { base: 'integer' }, tags } },
    processes: { KomA: { buffer, lines: { devices: line } } },
  };
}

async function done(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
