import { describe, expect, it } from 'vitest';
import { resolveKernelConfig } from './load.ts';

describe('the Kernel file', () => {
  it('has defaults for everything', () => {
    expect(resolveKernelConfig({}, { directory: '/etc/kom' }).config).toEqual({
      listen: { host: '127.0.0.1', port: 3119 },
      insecure: false,
      tls: null,
      agents: [],
      archive: { kind: 'embedded', directory: '/etc/kom/data/kernel', memoryLimitBytes: 512e6 },
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

  it('has all its mistakes named', () => {
    const raw = { listen: 'nowhere:x', archive: { kind: 'oracle', memoryLimit: '1' }, extra: 1 };
    expect(() => resolveKernelConfig(raw, { directory: '/' })).toThrow('4 problems');
  });
});
