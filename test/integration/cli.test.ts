import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdDirectory } from '../../src/cli/held-directory.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import type { QueryLine } from '../../src/kernel/archive/query.ts';
import { createLog } from '../../src/world/real/log.ts';
import { Kom, kom } from './support/kom.ts';
import { Setup } from './support/setup.ts';
import { sleep } from './support/until.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Runs a command line in this process, which is quicker. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCommandLine(args, {
    line: (text) => {
      out += `${text}\n`;
    },
    note: (text) => {
      err += `${text}\n`;
    },
    isTerminal: false,
    columns: 100,
  });
  return { code, out, err };
}

describe('help and usage', () => {
  const SUBCOMMANDS = [
    'check',
    'init',
    'run',
    'reload',
    'kernel',
    'status',
    'archive',
    'sim',
    'demo',
    'schema',
  ];

  test('kom --help lists every subcommand and the exit codes', async () => {
    const { code, out, err } = await run('--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const name of SUBCOMMANDS) expect(out).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
    expect(out).toMatch(/Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}69 .*\n {2}70 /);
  });

  test.each(SUBCOMMANDS)('kom %s --help', async (name) => {
    const { code, out, err } = await run(name, '--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`^Usage: kom ${name} `));
    expect(out.length).toBeGreaterThan(100);
  });

  test.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['toString'], /unknown command 'toString'/],
    [['--frobnicate'], /unknown option '--frobnicate'/],
    [['run', '--frobnicate'], /unknown option '--frobnicate'/],
    [['run'], /missing required argument 'site.json'/],
    [['run', 'site.json', '--log-level', 'loud'], /argument 'loud' is invalid/],
    [['run', '/nowhere/site.json'], /the configuration file cannot be read: \/nowhere\/site.json/],
    [['kernel', '/nowhere/kernel.json'], /the configuration file cannot be read: \/nowhere\/kernel.json/],
    [['status'], /expected --config or --socket/],
    [['archive', 'query'], /required option '--tag <name>' not specified/],
    [['archive', 'frobnicate'], /unknown command 'frobnicate'/],
  ])('kom %j: exit code 2 and a reason', async (args, reason) => {
    const { code, out, err } = await run(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(reason);
  });
});

test('kom run on a broken site file names every problem and ends with 2', async () => {
  const broken = join(ROOT, 'test/config/five-mistakes.json');
  const { code, stdout, stderr } = await kom(['run', broken]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  for (const path of [
    '$.servers.ServerKom1.dta',
    '$.templates.pump.tags.flow.scan',
    '$.processes.KomA.lines.dcs.user.password',
    '$.processes.KomA.lines.plc.stations.P1.template',
    '70000',
  ]) {
    expect(stderr).toContain(path);
  }
  expect(stderr).toContain('5 problems');
  expect(stderr).not.toContain('    at ');
});

describe('with a running agent and Kernel', () => {
  let setup: Setup;
  let agent: Kom;
  let kernel: Kom;
  const config = (): string => setup.file('site.json');
  const kernelFile = (): string => setup.file('kernel.json');

  beforeAll(async () => {
    setup = await Setup.make({ opcua: true });
    await setup.startPlant();
    kernel = await setup.spawnKernel();
    agent = await setup.spawnAgent();
    await setup.untilOnline();
    await setup.untilStatus('both lines', ({ lines }) => lines.every(({ isConnected }) => isConnected));
    await sleep(1000);
  });
  afterAll(() => setup[Symbol.asyncDispose]());

  test('kom run a second time says who is there already', async () => {
    const { code, stdout, stderr } = await kom(['run', config()]);
    expect(code).toBe(69);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/another process already does this job.*agent\.sock.*\[KOM_ALREADY_RUNNING\]/);
    expect((await run('status', '--config', config(), '--health')).code, 'the first one goes on').toBe(0);
  });

  test('two agents with sockets of their own do not share a data directory', async () => {
    const other = setup.file('other-socket.json');
    writeFileSync(other, readFileSync(config(), 'utf8').replace('./agent.sock', './other.sock'));
    const { code, stderr } = await kom(['run', other]);
    expect(code).toBe(69);
    expect(stderr).toMatch(/another process holds the store.*agent.*\[KOM_STORE_LOCKED\]/);
  });

  test('kom status for a person, as JSON, and as a health check', async () => {
    const table = await run('status', '--config', config());
    expect(table.code).toBe(0);
    expect(table.out).toMatch(/site Waterworks, server ServerKom1/);
    expect(table.out).toMatch(/KomA instance 1: online/);
    expect(table.out).toMatch(/line +pumps: connected/);
    expect(table.out).toMatch(/line +reactors: connected/);
    const json = await run('status', '--config', config(), '--json');
    expect(JSON.parse(json.out)).toMatchObject({
      site: 'Waterworks',
      instances: [{ process: 'KomA', instance: 1, backlog: { state: 'online', ring: { state: 'healthy' } } }],
    });
    const health = await run('status', '--socket', setup.file('agent.sock'), '--health');
    expect(health).toEqual({ code: 0, out: 'healthy\n', err: '' });
  });

  test('kom archive query, stat and tags on the running Kernel', async () => {
    const query = ['archive', 'query', '--tag', 'P1.volume', '--kernel', kernelFile()];
    const csv = (await run(...query, '--csv')).out.trimEnd().split('\n');
    expect(csv[0]).toBe('time,value,quality,cause,state,until,reason');
    const values = csv.filter((line) => /,Good,(change|snapshot),data,,$/.test(line));
    expect(values.length).toBeGreaterThan(5);
    expect(values[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z,\d+,/);
    expect(
      csv.some((line) => /,unknown,/.test(line)),
      'before the start nothing is known',
    ).toBe(true);
    const json = (await run(...query, '--json')).out.trimEnd().split('\n');
    const lines = json.map((line) => JSON.parse(line) as QueryLine);
    expect(lines[0]).toMatchObject({ kind: 'tag', site: 'Waterworks', process: 'KomA', type: 'int64' });
    expect(new Set(lines.map(({ kind }) => kind))).toEqual(new Set(['tag', 'segment', 'sample']));
    const table = (await run(...query)).out;
    expect(table).toMatch(/^time +value +quality +cause +state +until +reason\n/);
    const stat = await run('archive', 'stat', '--kernel', kernelFile(), '--json');
    // A device that answered late on a busy machine is a gap.
    expect(JSON.parse(stat.out)).toMatchObject({ tags: 21, streams: 1, gaps: expect.any(Number) });
    const tags = (await run('archive', 'tags', '--socket', setup.file('kernel.sock'))).out
      .trimEnd()
      .split('\n');
    expect(tags).toHaveLength(21);
    expect(tags).toContain('Waterworks\tR1.level');
    const unknown = await run('archive', 'query', '--tag', 'P9.nothing', '--kernel', kernelFile());
    expect(unknown).toMatchObject({ code: 2, out: '' });
    expect(unknown.err).toMatch(/the archive has no tag "P9.nothing"; kom archive tags lists what it has/);
  });

  test('kom kernel on a port or an archive that is taken', async () => {
    const second = await kom(['kernel', kernelFile()]);
    expect(second.code).toBe(69);
    expect(second.stderr).toMatch(/\[KOM_(ALREADY_RUNNING|ARCHIVE_UNAVAILABLE|STORE_LOCKED)\]/);
    expect(second.stderr).not.toContain('    at ');

    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const address = squatter.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const file = setup.file('taken.json');
    writeFileSync(file, JSON.stringify({ listen: `127.0.0.1:${port}`, archive: { directory: './taken' } }));
    const taken = await kom(['kernel', file]);
    squatter.close();
    expect(taken.code).toBe(69);
    expect(taken.stderr).toMatch(
      new RegExp(`cannot be listened on: 127\\.0\\.0\\.1:${port}.*another program`),
    );
    expect(taken.stderr).not.toContain('    at ');
  });

  test('kom kernel on a forwarding ring that another one holds', async () => {
    const file = setup.file('other-kernel.json');
    const redundancy = {
      ...{ name: 'KA', firstRole: 'hot', ring: { directory: './ring' } },
      kernels: [{ name: 'KB', addresses: ['127.0.0.1:1'] }],
    };
    writeFileSync(
      file,
      JSON.stringify({ listen: '127.0.0.1:0', archive: { directory: './other' }, redundancy }),
    );
    await using _held = await holdDirectory(setup.file('ring'), createLog({ level: 'silent', name: 'kom' }));
    await using second = new Kom(['kernel', file]);
    await expect(second.untilLog('Kernel listens')).rejects.toThrow(/ring \[KOM_ALREADY_RUNNING\]/);
    expect((await second.finished).code).toBe(69);
  });

  test('stopped with Ctrl-C: exit code 0, all JSON, and the archive answers by itself', async () => {
    const stopped = await agent.kill('SIGINT');
    expect(stopped).toMatchObject({ code: 0, stderr: '' });
    const lines = agent.log;
    expect(lines.length, 'every line is JSON').toBe(stopped.stdout.trimEnd().split('\n').length);
    expect(lines.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['running', 'line connected', 'session with the Kernel', 'stopping', 'stopped']),
    );
    for (const line of lines) {
      expect(line).toMatchObject({ name: 'kom', level: expect.any(String), time: expect.any(String) });
    }
    const dead = await run('status', '--config', config());
    expect(dead).toMatchObject({ code: 69, out: '' });
    expect(dead.err).toMatch(/no running process answers on the control socket: .*agent\.sock/);
    const health = await run('status', '--config', config(), '--health');
    expect(health.code).toBe(1);
    expect(health.out).toMatch(/^unhealthy: no running process/);

    const stoppingMs = performance.now();
    const kernelStopped = await kernel.kill('SIGINT');
    expect(performance.now() - stoppingMs, 'nothing holds a Kernel whose agents are gone').toBeLessThan(2000);
    expect(kernelStopped).toMatchObject({ code: 0, stderr: '' });
    expect(kernel.log.at(-1)?.msg).toBe('stopped');
    const offline = await run('archive', 'query', '--tag', 'P1.volume', '--kernel', kernelFile(), '--json');
    expect({ code: offline.code, err: offline.err }).toEqual({ code: 0, err: '' });
    const samples = offline.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as QueryLine);
    expect(samples.filter(({ kind }) => kind === 'sample').length).toBeGreaterThan(5);
    expect((await run('archive', 'stat', '--kernel', kernelFile())).out).toMatch(/^samples +\d+\ntags +21\n/);
    const nothing = await run('archive', 'stat', '--socket', setup.file('kernel.sock'));
    expect(nothing.code).toBe(69);
  });
});
