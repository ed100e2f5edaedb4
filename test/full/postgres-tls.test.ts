import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import type { PostgresArchiveConfig } from '../../src/config/model/kernel.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { type Days, kernel, TestAuthority } from '../integration/support/certificates.ts';
import { until } from '../integration/support/until.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });

describe.skipIf(NO_POSTGRES !== null)('TLS to a PostgreSQL database', () => {
  let server: PostgresServer;
  let config: PostgresArchiveConfig;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
    config = server.config();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test('a server that speaks no TLS is for a person to put right, where the file asks for TLS', async () => {
    const hosts = [{ host: '127.0.0.1', port: server.port }];
    const tls = { ca: null, certificate: null, key: null };
    const open = openPostgresArchive({ config: { ...config, hosts, tls }, clock, log: silentLog });
    await expect(open).rejects.toMatchObject({
      code: 'KOM_ARCHIVE_UNAVAILABLE',
      message: expect.stringContaining('it speaks no TLS, which the Kernel file asks for; set ssl = on'),
    });
  });

  test('TLS: the certificate must be of a known authority and of the host that was dialled', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kom-pg-tls-'));
    const [authority, other] = [await TestAuthority.make(), await TestAuthority.make('Other')];
    const { certificate, key } = await authority.material([kernel()]);
    const file = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const ca = file('ca.pem', authority.certificate);
    server.install('server.key', key);
    server.install('server.crt', certificate);
    const rules = [
      'local all all trust',
      'hostssl all all 127.0.0.1/32 trust',
      'hostssl all all ::1/128 trust',
    ];
    server.install('pg_hba.conf', `${rules.join('\n')}\n`);
    server.sql('ALTER SYSTEM SET ssl = on');
    server.sql('SELECT pg_reload_conf()');
    await until('TLS', () => server.sql('SHOW ssl')[0] === 'on');
    const open = (tls: PostgresArchiveConfig['tls'], host = '127.0.0.1') =>
      openPostgresArchive({
        ...{ clock, log: silentLog },
        config: { ...config, hosts: [{ host, port: server.port }], tls },
      });
    const none = { certificate: null, key: null };
    const archive = await open({ ca, ...none });
    await archive.raiseKernelEpoch(1);
    const isEncrypted = `SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
      WHERE application_name = 'kom-archive'`;
    expect(server.sql(isEncrypted)).toEqual(['t']);
    await archive.close();
    await expect(open(null)).rejects.toThrow('no encryption');
    const wrongCa = file('other.pem', other.certificate);
    // Not a wrong password: such a thing may be put right at the server, so a Kernel starts and waits.
    const waits = async (why: string, ...of: Parameters<typeof open>): Promise<void> => {
      const waiting = await open(...of);
      await expect(waiting.kernelEpoch()).rejects.toThrow(why);
      await waiting.close();
    };
    await waits(`is not of an authority in ${wrongCa}; archive.postgres.tls.ca must`, {
      ca: wrongCa,
      ...none,
    });
    await waits('is not of an authority that Node knows', { ca: null, ...none });
    await waits('is not for localhost, as hosts has it', { ca, ...none }, 'localhost');
    const install = async (days: Days, what: string): Promise<void> => {
      const renewed = await authority.material([kernel()], days);
      server.install('server.key', renewed.key);
      server.install('server.crt', renewed.certificate);
      server.sql('SELECT pg_reload_conf()');
      await until('the other certificate', () =>
        waits(what, { ca, ...none }).then(
          () => true,
          () => false,
        ),
      );
    };
    await install({ from: -20, to: -1 }, 'has expired: renew it there');
    await install({ from: 5, to: 20 }, 'is not valid yet: set the clock');
    // Files of the Kernel are for a person at once.
    const own = {
      certificate: file('kernel.pem', certificate),
      key: file('other.key', (await authority.material([kernel()])).key),
    };
    for (const [files, why] of [
      [{ ca: join(directory, 'gone.pem'), ...none }, /tls.ca cannot be read: ENOENT/],
      [{ ca: file('text.pem', 'hello'), ...none }, /tls.ca is no PEM file: .*text.pem/],
      [{ ca, ...own }, /kernel.pem and .*other.key are no certificate with its key/],
    ] as const) {
      await expect(open(files)).rejects.toMatchObject({
        code: 'KOM_ARCHIVE_UNAVAILABLE',
        message: expect.stringMatching(why),
      });
    }
    rmSync(directory, { recursive: true });
  });
});
