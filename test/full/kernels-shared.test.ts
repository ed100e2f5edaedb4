import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GREEN } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { type KernelName, RealKernels } from '../kernels/real-kernels.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

/** Real Kernels that share a real database, while one of them fails, hangs or is switched under load. */

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

/** A Kernel that is killed is replaced within this time. */
const TAKEOVER_MAX_MS = 3000;
/** One that hangs or is cut off without a word, within this. */
const SILENT_MAX_MS = 10_000;
const START_MAX_MS = 30_000;

describe.skipIf(NO_POSTGRES !== null)('Kernels that share a database', () => {
  let server: PostgresServer;
  let schemas = 0;
  const running: RealKernels[] = [];

  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const kernels of running.splice(0)) await kernels[Symbol.asyncDispose]();
  });

  async function started(): Promise<RealKernels> {
    const database = { host: `${server.directory}:${server.port}`, schema: `kom_${++schemas}` };
    const kernels = await RealKernels.start({ database });
    running.push(kernels);
    await sleep(1000);
    return kernels;
  }

  /** Waits until this one is hot. Returns how long that took, milliseconds. */
  async function untilHot(kernels: RealKernels, name: KernelName): Promise<number> {
    const fromMs = performance.now();
    const isHot = async () => (await kernels.sharing(name)).takesSessions;
    await until(`${name} to be hot`, isHot, START_MAX_MS);
    return performance.now() - fromMs;
  }

  /** The one archive, as both of them tell it. */
  async function expectGreen(kernels: RealKernels): Promise<void> {
    const proofs = await kernels.prove();
    for (const proof of proofs.values()) expect(proof).toMatchObject(GREEN);
    expect(proofs.get('KernelB')?.archived).toBe(proofs.get('KernelA')?.archived);
  }

  test('the hot one is killed, the next one stands still in a transaction: others take over', async () => {
    const kernels = await started();
    expect(await kernels.sharing('KernelB')).toMatchObject({ role: 'standby', hot: 'KernelA', epoch: 1 });
    await kernels.kill('KernelA');
    const tookMs = await untilHot(kernels, 'KernelB');
    const followedMs = await kernels.untilAt('KernelB');
    console.info(`took over within ${Math.round(tookMs)} ms, followed within ${Math.round(followedMs)} ms`);
    expect(tookMs).toBeLessThan(TAKEOVER_MAX_MS);
    expect(followedMs).toBeLessThan(2000);
    await sleep(1000);
    expect(await alarms(kernels, 'KernelB')).toEqual(['kernel-alone']);
    await kernels.startKernel('KernelA');
    await until(
      'the first one there',
      async () => (await alarms(kernels, 'KernelB')).length === 0,
      START_MAX_MS,
    );
    expect(await kernels.sharing('KernelA')).toMatchObject({ role: 'standby', hot: 'KernelB', epoch: 2 });
    await expectGreen(kernels);

    await stopInTransaction(kernels, 'KernelB');
    try {
      const silentMs = await untilHot(kernels, 'KernelA');
      console.info(`took over from a stopped one within ${Math.round(silentMs)} ms`);
      expect(silentMs).toBeLessThan(SILENT_MAX_MS);
      await kernels.untilAt('KernelA');
      await sleep(1500);
    } finally {
      kernels.signal('KernelB', 'SIGCONT');
    }
    await untilOvertaken(kernels, 'KernelB', 'KernelA');
    expect(await alarms(kernels, 'KernelB')).toEqual(['kernel-overtaken']);
    await expectGreen(kernels);
  }, 120_000);

  test('a switch there and back; --force while the hot one works, and while it stands still', async () => {
    const kernels = await started();
    for (const [from, to] of [
      ['KernelA', 'KernelB'],
      ['KernelB', 'KernelA'],
    ] as const) {
      const wrong = await kernels.switch(to, to);
      expect(wrong).toMatchObject({ code: 1 });
      expect(wrong.stderr).toContain(`${from} is: give the command there`);
      const { code, stderr } = await kernels.switch(from, to);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(await kernels.untilAt(to)).toBeLessThan(2000);
      await sleep(1000);
      expect(await kernels.sharing(from)).toMatchObject({ role: 'standby', overtakenBy: null, hot: to });
    }
    await expectGreen(kernels);

    const forced = await kernels.switch('KernelB', 'KernelB', '--force');
    expect(forced).toMatchObject({ code: 0, stdout: 'KernelB is hot\n' });
    await kernels.untilAt('KernelB');
    await untilOvertaken(kernels, 'KernelA', 'KernelB');
    await sleep(1000);
    kernels.signal('KernelB', 'SIGSTOP');
    try {
      // Sooner than the server notices that it is silent.
      expect((await kernels.switch('KernelA', 'KernelA', '--force')).code).toBe(0);
      await kernels.untilAt('KernelA');
    } finally {
      kernels.signal('KernelB', 'SIGCONT');
    }
    await untilOvertaken(kernels, 'KernelB', 'KernelA');
    expect(await kernels.sharing('KernelA')).toMatchObject({ role: 'hot', epoch: 5, overtakenBy: null });
    await expectGreen(kernels);
  }, 120_000);

  test('the database is restarted: nobody is hot, and then whoever was', async () => {
    const kernels = await started();
    expect((await kernels.switch('KernelA', 'KernelB')).code).toBe(0);
    await kernels.untilAt('KernelB');
    await sleep(1000);
    await server.kill('SIGKILL');
    for (const name of ['KernelA', 'KernelB'] as const) {
      const isAway = async () => (await kernels.sharing(name)).databaseError !== null;
      await until(`${name} to miss the database`, isAway, START_MAX_MS);
      expect(await kernels.sharing(name)).toMatchObject({ role: 'standby', takesSessions: false, hot: '' });
      expect(await alarms(kernels, name)).toContain('kernel-database');
    }
    // One that starts now waits as well.
    await kernels.kill('KernelA');
    await kernels.startKernel('KernelA');
    expect(await kernels.sharing('KernelA')).toMatchObject({ takesSessions: false, hot: '' });
    await server.restart();
    await untilHot(kernels, 'KernelB');
    await kernels.untilAt('KernelB');
    await sleep(6000);
    expect(await kernels.sharing('KernelB')).toMatchObject({ role: 'hot', epoch: 3, overtakenBy: null });
    await expectGreen(kernels);
  }, 120_000);

  /** Stands still with rows written and not committed, and the row of the epoch locked. */
  async function stopInTransaction(kernels: RealKernels, name: KernelName): Promise<void> {
    const client = new Client({ host: server.directory, port: server.port, user: 'postgres' });
    await client.connect();
    const count = async (what: string): Promise<number> => {
      const { rows } = await client.query<{ count: string }>(`SELECT count(*) ${what}`);
      return Number(rows[0]?.count);
    };
    try {
      const coverage = `kom_${schemas}.coverage`;
      await client.query(`BEGIN; LOCK TABLE ${coverage} IN EXCLUSIVE MODE`);
      const waiting = `FROM pg_locks WHERE NOT granted AND relation = '${coverage}'::regclass`;
      await until('a transaction that waits', async () => (await count(waiting)) > 0, START_MAX_MS);
      kernels.signal(name, 'SIGSTOP');
      await client.query('ROLLBACK');
      const open = "FROM pg_stat_activity WHERE state = 'idle in transaction'";
      await until('a transaction that is left open', async () => (await count(open)) === 1, START_MAX_MS);
    } finally {
      await client.end();
    }
  }

  async function alarms(kernels: RealKernels, name: KernelName): Promise<string[]> {
    return (await kernels.kernelStatus(name)).alarms.map(({ code }) => code);
  }

  async function untilOvertaken(kernels: RealKernels, name: KernelName, by: KernelName): Promise<void> {
    const isOvertaken = async () => (await kernels.sharing(name)).overtakenBy === by;
    await until(`${name} to know of ${by}`, isOvertaken, START_MAX_MS);
    expect(await kernels.sharing(name)).toMatchObject({ role: 'standby', hot: by });
  }
});
