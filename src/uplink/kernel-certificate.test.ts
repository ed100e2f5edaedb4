import { describe, expect, it } from 'vitest';
import type { CertificateIdentity } from '../domain/identity.ts';
import type { CertificateFacts } from '../world/certificate.ts';
import { kernelRefusal } from './kernel-certificate.ts';

const facts = (identities: readonly CertificateIdentity[], hosts: readonly string[]): CertificateFacts => ({
  ...{ subject: 'CN=x', issuer: 'CN=ca', serialNumber: '1', fingerprint: 'AA', validFromUs: 0, validToUs: 1 },
  ...{ identities, hosts, isCa: false },
});
const KERNEL: CertificateIdentity = { role: 'kernel', site: 'S', name: 'central' };
const HOSTS = ['10.0.0.5', 'FD00:0:0:0:0:0:0:5', 'kernel.example'];
const refusal = (certificate: CertificateFacts, host: string | null): string | undefined =>
  kernelRefusal(certificate, { site: 'S', host, remote: 'r' })?.code;

describe('the certificate of a Kernel', () => {
  it('has the role, the site and the address that was dialled', () => {
    for (const host of ['10.0.0.5', 'fd00::5', 'Kernel.Example']) {
      expect(refusal(facts([KERNEL], HOSTS), host)).toBeUndefined();
    }
    for (const host of ['10.0.0.6', 'fd00::6', 'example', 'kernel.example.org']) {
      expect(refusal(facts([KERNEL], HOSTS), host)).toBe('KOM_TLS_IDENTITY');
    }
  });

  it('has the role also where the Kernel dialled; an agent of the site is none', () => {
    expect(refusal(facts([KERNEL], []), null)).toBeUndefined();
    const agent: CertificateIdentity = { role: 'agent', site: 'S', process: 'KomA', instance: 1 };
    for (const identities of [[], [agent], [{ ...KERNEL, site: 'T' }]]) {
      expect(refusal(facts(identities, HOSTS), null)).toBe('KOM_TLS_IDENTITY');
      expect(refusal(facts(identities, HOSTS), '10.0.0.5')).toBe('KOM_TLS_IDENTITY');
    }
  });
});
