import { afterEach, describe, expect, test } from 'vitest';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { GREEN } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { RealKernels } from '../kernels/real-kernels.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

/** Real Kernels with a database each, of which one fails. */

const stack: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of stack.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function started() {
  const servers = { KernelA: await PostgresServer.start(), KernelB: await PostgresServer.start() };
  stack.push(servers.KernelA, servers.KernelB);
  const serverOf = (name: string) => (name === 'KernelA' ? servers.KernelA : servers.KernelB);
  const kernels = await RealKernels.start({
    archives: {
      described: (name) => {
        const { directory, port } = serverOf(name);
        const place = { hosts: [`${directory}:${port}`], database: 'postgres', user: 'postgres' };
        return { kind: 'postgres', directory: './archive', postgres: { ...place, answerTimeout: '5s' } };
      },
      open: (name) =>
        openPostgresArchive({ config: serverOf(name).config(), clock: createClock(), log: silentLog }),
    },
  });
  stack.push(kernels);
  await sleep(2000);
  return { servers, kernels };
}

const FAULTS = {
  'is stopped': {
    begin: (server: PostgresServer) => server.kill('SIGINT'),
    end: (server: PostgresServer) => server.restart(),
  },
  'takes no writes': {
    begin: (server: PostgresServer) => {
      server.sql('ALTER DATABASE postgres SET default_transaction_read_only = on');
      server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kom-archive'",
      );
    },
    end: (server: PostgresServer) => {
      server.sql('SET default_transaction_read_only = off; ALTER DATABASE postgres RESET ALL');
    },
  },
} as const;

describe.skipIf(NO_POSTGRES !== null)('a database for each Kernel', () => {
  test.each(Object.entries(FAULTS))(
    'that of the hot one %s: an orderly switch, and nothing is lost',
    async (_what, { begin, end }) => {
      const { servers, kernels } = await started();
      await begin(servers.KernelA);
      const alarms = async () => (await kernels.kernelStatus('KernelA')).alarms;
      const isOffered = async () =>
        (await alarms()).some(
          ({ code, text }) =>
            code === 'kernel-archive' && text.includes('kom kernel switch kernel.json --to KernelB'),
        );
      await until('the alarm to offer the switch', isOffered, 30_000);
      await sleep(8000);
      expect((await alarms()).map(({ code }) => code)).toEqual(['kernel-archive']);
      const { code, stderr } = await kernels.switch('KernelA', 'KernelB');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(await kernels.untilAt('KernelB')).toBeLessThan(5000);
      await sleep(2000);
      await end(servers.KernelA);
      await kernels.untilInSync('KernelB');
      await kernels.untilComplete('KernelB');
      const proofs = await kernels.prove();
      expect(proofs.get('KernelB')).toMatchObject(GREEN);
      expect(proofs.get('KernelA')).toMatchObject({ ...GREEN, archived: proofs.get('KernelB')?.archived });
    },
    120_000,
  );
});
