import { describe, expect, it } from 'vitest';
import { loadKernelConfig, resolveKernelConfig } from './load.ts';

describe('the Kernel file', () => {
  it('has defaults for everything', () => {
    expect(resolveKernelConfig({}, { directory: '/etc/kom' }).config).toEqual({
      listen: { host: '127.0.0.1', port: 3119 },
      insecure: false,
      tls: null,
      agents: [],
      archive: {
        ...{ kind: 'embedded', directory: '/etc/kom/data/kernel', memoryLimitBytes: 512e6 },
        retentionMs: null,
      },
      controlSocket: '/etc/kom/data/kernel/kom-kernel.sock',
    });
  });

  it('listens elsewhere than on loopback only where the file says so', () => {
    const listen = '0.0.0.0:3119';
    expect(() => resolveKernelConfig({ listen }, { directory: '/' })).toThrow('"insecure": true');
    expect(resolveKernelConfig({ listen, insecure: true }, { directory: '/' }).problems).toMatchObject([
      { path: '$.listen' },
    ]);
    const secure = resolveKernelConfig({ listen, tls: { key: '/k.pem' } }, { directory: '/etc/kom' });
    expect(secure.problems).toEqual([]);
    expect(secure.config.tls).toEqual({
      ...{ ca: '/etc/kom/tls/kernel/ca.pem', certificate: '/etc/kom/tls/kernel/certificate.pem' },
      ...{ key: '/k.pem', crl: '/etc/kom/tls/kernel/crl.pem', isCrlOptional: true },
    });
  });

  it('keeps the embedded archive for good, or for as long as the file says', () => {
    const load = (retention: string) => resolveKernelConfig({ archive: { retention } }, { directory: '/' });
    expect(load('400d').config.archive).toMatchObject({ kind: 'embedded', retentionMs: 400 * 86_400_000 });
    expect(() => load('12h')).toThrow('archive.retention');
    expect(() => load('1y')).toThrow('such as days: "30d", "400d"; got "1y"');
  });

  it('has all its mistakes named', () => {
    const raw = { listen: 'nowhere:x', archive: { kind: 'oracle', memoryLimit: '1' }, extra: 1 };
    expect(() => resolveKernelConfig(raw, { directory: '/' })).toThrow('4 problems');
  });

  describe('with a database', () => {
    const postgres = { hosts: ['/run/postgresql', 'db1', '[fd00::5]:5433'], user: 'kom', insecure: true };
    const load = (more: object, archive: object = {}, secretsOptional = false) =>
      resolveKernelConfig(
        { archive: { kind: 'postgres', ...archive, postgres: { ...postgres, ...more } } },
        {
          ...{ directory: '/etc/kom', secretsOptional },
          environment: (name) => (name === 'PW' ? 'secret' : undefined),
          readFile: (path) => `of ${path}\n`,
        },
      );

    it('has hosts in their order, secrets from elsewhere, and defaults', () => {
      const owner = { user: 'owner', password: { file: './pw' } };
      const { config, problems } = load({ password: { env: 'PW' }, owner, retention: '400d' });
      expect(config.archive).toEqual({
        ...{ kind: 'postgres', directory: '/etc/kom/data/kernel', database: 'kom', schema: 'kom' },
        hosts: [
          { host: '/run/postgresql', port: 5432 },
          { host: 'db1', port: 5432 },
          { host: 'fd00::5', port: 5433 },
        ],
        login: { user: 'kom', password: 'secret', passwordVariable: 'PW' },
        owner: { user: 'owner', password: null, passwordFile: '/etc/kom/pw' },
        ...{ tls: null, connectTimeoutMs: 5000, answerTimeoutMs: 30_000, retentionMs: 400 * 86_400_000 },
      });
      expect(problems.map(({ path }) => path)).toEqual([
        '$.archive.postgres.hosts[1]',
        '$.archive.postgres.hosts[2]',
      ]);
    });

    it('needs TLS or a word where others can read the link', () => {
      expect(() => load({ insecure: false })).toThrow('2 problems');
      const { config, problems } = load({ insecure: false, tls: { ca: './ca.pem' } });
      expect(problems).toEqual([]);
      expect(config.archive).toMatchObject({ tls: { ca: '/etc/kom/ca.pem', certificate: null, key: null } });
      expect(() => load({ tls: { key: './key.pem' } })).toThrow('go together');
    });

    it('has its mistakes named; a missing secret is one only when it is needed', () => {
      expect(() => load({ password: { env: 'NONE' } })).toThrow('NONE is not set');
      expect(load({ password: { env: 'NONE' } }, {}, true).problems).toContainEqual({
        path: '$.archive.postgres.password',
        message: 'the environment variable NONE is not set',
      });
      expect(() => load({ password: 'secret' })).toThrow('never the secret itself');
      expect(() => load({}, { memoryLimit: '64MB' })).toThrow('is of the embedded archive');
      expect(() => load({}, { retention: '400d' })).toThrow('archive.postgres.retention');
      expect(() => load({}, { kind: 'embedded' })).toThrow('the archive is embedded');
      expect(() => load({ hosts: ['a b'] })).toThrow('host:port');
      expect(() => load({ hosts: undefined })).toThrow('1 problem');
      expect(() => resolveKernelConfig({ archive: { kind: 'postgres' } }, { directory: '/' })).toThrow(
        'hosts and user',
      );
    });

    it('is that of the example', async () => {
      const { config, problems } = await loadKernelConfig('examples/kernel-postgres.json', {
        secretsOptional: true,
      });
      expect(config.archive).toMatchObject({ kind: 'postgres', owner: { user: 'kom_owner' } });
      expect(problems).toHaveLength(2);
    });
  });
});

describe('several Kernels', () => {
  const redundancy = {
    name: 'KernelA',
    kernels: [{ name: 'KernelB', addresses: ['10.1.0.6', '10.2.0.6:4000'] }],
  };

  it('has a name, the others, and defaults for everything else', () => {
    const { config, problems } = resolveKernelConfig({ tls: {}, redundancy }, { directory: '/etc/kom' });
    expect(problems).toEqual([]);
    expect(config.redundancy).toEqual({
      name: 'KernelA',
      kernels: [
        {
          name: 'KernelB',
          addresses: [
            { host: '10.1.0.6', port: 3119 },
            { host: '10.2.0.6', port: 4000 },
          ],
          insecure: false,
        },
      ],
      ...{ firstRole: 'standby', ackPolicy: 'in-sync' },
      ring: { directory: '/etc/kom/data/kernel-ring', capacityBytes: 8e9 },
    });
  });

  it('may share the database of the archive, and then hand nothing on', () => {
    const postgres = { hosts: ['/run/postgresql'], user: 'kom' };
    const archive = { kind: 'postgres', postgres };
    const shared = { name: 'KernelA', archive: 'shared' };
    const load = (file: object) => resolveKernelConfig({ tls: {}, ...file }, { directory: '/' });
    const { config } = load({ archive, redundancy: shared });
    expect(config).toMatchObject({ sharing: { name: 'KernelA' }, archive: { schema: 'kom' } });
    expect(config.redundancy).toBeUndefined();
    expect(() => load({ redundancy: shared })).toThrow('only a PostgreSQL database can be shared');
    for (const [key, value, why] of [
      ['kernels', redundancy.kernels, 'they find each other in the database'],
      ['firstRole', 'hot', 'who has the lock in the database is hot'],
      ['ackPolicy', 'hot', 'what is in the archive is in that of all of them'],
      ['ring', {}, 'nothing is handed on from one to the other'],
    ] as const) {
      expect(() => load({ archive, redundancy: { ...shared, [key]: value } })).toThrow(
        `redundancy.${key}: is for Kernels that have an archive each: ${why}`,
      );
    }
    expect(() => load({ redundancy: { name: 'KernelA' } })).toThrow('redundancy.kernels: is needed');
  });

  it('links in the open are allowed in the file, and names are unique', () => {
    expect(() => resolveKernelConfig({ redundancy }, { directory: '/' })).toThrow('"insecure": true');
    const load = (change: object, file: object = {}) =>
      resolveKernelConfig({ tls: {}, ...file, redundancy: { ...redundancy, ...change } }, { directory: '/' });
    expect(() => load({ name: 'KernelB' })).toThrow('redundancy.kernels[0].name: is this Kernel itself');
    const [other] = redundancy.kernels;
    const twice = [other, { ...other, addresses: ['10.1.0.7'] }];
    expect(() => load({ kernels: twice })).toThrow('another Kernel has this name');
  });

  it('listen at different places, and keep what they hand on beside the archive', () => {
    const load = (change: object, file: object = {}) =>
      resolveKernelConfig({ tls: {}, ...file, redundancy: { ...redundancy, ...change } }, { directory: '/' });
    expect(() => load({}, { listen: '10.1.0.6:3119' })).toThrow(
      'kernels[0].addresses[0]: is where KernelA listens',
    );
    const kernels = [...redundancy.kernels, { name: 'KernelC', addresses: ['10.2.0.6:4000'] }];
    expect(() => load({ kernels })).toThrow('kernels[1].addresses[0]: is where KernelB listens');
    expect(() =>
      load({ ring: { directory: './data/kernel' } }, { archive: { directory: 'data/kernel' } }),
    ).toThrow('redundancy.ring.directory: is that of the archive');
    expect(() => load({ ring: { capacity: '900TB' } })).toThrow('a size between 10.0 MB and 16000.00 GB');
  });
});
