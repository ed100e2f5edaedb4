import { describe, expect, it } from 'vitest';
import type { CertificateIdentity } from '../domain/identity.ts';
import type { CertificateFacts } from '../world/certificate.ts';
import { checkClaim } from './claim.ts';

const CLAIM = { site: 'S', process: 'KomA', instance: 1 };
const showing = (...identities: CertificateIdentity[]): CertificateFacts => ({
  ...{ subject: 'CN=x', issuer: 'CN=ca', serialNumber: '1', fingerprint: 'AA', validFromUs: 0, validToUs: 1 },
  ...{ identities, hosts: [], isCa: false },
});
const agent = (process: string, instance: number, site = 'S'): CertificateIdentity => ({
  ...{ role: 'agent', site, process, instance },
});
const refusal = (...args: Parameters<typeof checkClaim>): unknown => {
  try {
    checkClaim(...args);
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('what a Hello claims', () => {
  it('is spoken for by the certificate', () => {
    expect(refusal(showing(agent('KomB', 1), agent('KomA', 1)), CLAIM, {})).toBeNull();
    for (const certificate of [
      showing(),
      showing(agent('KomB', 1)),
      showing(agent('KomA', 2)),
      showing(agent('KomA', 1, 'S2')),
      showing({ role: 'kernel', site: 'S', name: 'KomA:1' }),
    ]) {
      expect(refusal(certificate, CLAIM, {})).toBe('KOM_TLS_IDENTITY');
    }
    expect(refusal(null, CLAIM, {})).toBeNull();
  });

  it('is welcome by site or process, if the Kernel has a list', () => {
    for (const accept of [['S'], ['S/KomA'], ['T', 'S/KomA']]) {
      expect(refusal(null, CLAIM, { accept })).toBeNull();
    }
    for (const accept of [[], ['T'], ['S/KomB'], ['S/']]) {
      expect(refusal(null, CLAIM, { accept })).toBe('KOM_AGENT_UNKNOWN');
    }
  });

  it('is the same on both lanes', () => {
    expect(refusal(null, CLAIM, { control: CLAIM })).toBeNull();
    for (const control of [
      { ...CLAIM, instance: 2 },
      { ...CLAIM, process: 'KomB' },
      { ...CLAIM, site: 'T' },
    ]) {
      expect(refusal(showing(agent('KomA', 1)), CLAIM, { control })).toBe('KOM_TLS_IDENTITY');
    }
  });
});
