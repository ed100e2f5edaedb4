import { X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { readCertificate } from '../world/certificate.ts';
import { MemoryPkiFolder } from './authority.fixture.ts';
import { SiteAuthority } from './authority.ts';
import { readRevocationList } from './issue.ts';
import type { MachinePlan } from './plan.ts';

const NOW_US = 1_800_000_000_000_000;
const DAY_US = 86_400_000_000;
const server = (...processes: string[]): MachinePlan => ({
  name: 'ServerKom1',
  role: 'agent',
  identities: processes.map((process) => ({ role: 'agent', site: 'S', process, instance: 1 })),
  hosts: [],
});
const kernel = (site = 'S', hosts = ['10.0.0.5', 'fd00::5']): MachinePlan => ({
  ...{ name: 'kernel.central', role: 'kernel', hosts },
  identities: [{ role: 'kernel', site, name: 'central' }],
});

describe('the authority of a site', () => {
  let folder: MemoryPkiFolder;
  let authority: SiteAuthority;
  beforeEach(async () => {
    folder = new MemoryPkiFolder();
    authority = await SiteAuthority.openOrMake(folder, 'S', NOW_US);
  });

  it('gives each machine what it needs and no key of anybody else; keys are secret', async () => {
    await authority.provide(server('KomA', 'KomB'), 365);
    await authority.provide(kernel(), 365);
    expect(folder.list('ServerKom1')).toEqual(['ca.pem', 'certificate.pem', 'crl.pem', 'key.pem']);
    expect(folder.secrets).toEqual(['ServerKom1/key.pem', 'ca-key.pem', 'kernel.central/key.pem']);
    const ca = new X509Certificate(folder.text('ca.pem'));
    for (const name of authority.machines()) {
      const certificate = new X509Certificate(folder.text(`${name}/certificate.pem`));
      expect(certificate.verify(ca.publicKey)).toBe(true);
      expect(certificate.ca).toBe(false);
      expect(folder.text(`${name}/ca.pem`)).toBe(folder.text('ca.pem'));
    }
    expect(readCertificate(folder.text('ServerKom1/certificate.pem')).identities).toEqual(
      server('KomA', 'KomB').identities,
    );
  });

  it('leaves alone what fits, and issues anew for the same key what does not', async () => {
    expect((await authority.provide(kernel(), 365)).action).toBe('made');
    const key = folder.text('kernel.central/key.pem');
    const first = folder.text('kernel.central/certificate.pem');
    expect((await authority.provide(kernel(), 365)).action).toBe('unchanged');
    expect(folder.text('kernel.central/certificate.pem')).toBe(first);
    expect((await authority.provide(kernel('S', ['10.0.0.5', '10.0.0.6']), 365)).action).toBe('renewed');
    expect((await authority.provide(server('KomA'), 365)).action).toBe('made');
    expect((await authority.provide(server('KomA', 'KomB'), 365)).action).toBe('renewed');
    const later = SiteAuthority.open(folder, NOW_US + 340 * DAY_US);
    expect((await later.provide(kernel('S', ['10.0.0.5', '10.0.0.6']), 365)).action).toBe('renewed');
    expect(folder.text('kernel.central/key.pem')).toBe(key);
  });

  it('makes one Kernel speak for several sites', async () => {
    await authority.provide(kernel('S'), 365);
    const { facts } = await authority.provide(kernel('T', ['10.0.0.7']), 365);
    expect(facts.identities.map(({ site }) => site)).toEqual(['S', 'T']);
    expect(facts.hosts).toContain('10.0.0.5');
    expect(facts.hosts).toContain('10.0.0.7');
    expect((await authority.provide(kernel('T', ['10.0.0.7']), 365)).action).toBe('unchanged');
  });

  it('renews, with a new key only when told', async () => {
    await authority.provide(server('KomA'), 20);
    const key = folder.text('ServerKom1/key.pem');
    const { facts } = await authority.renew('ServerKom1', { days: 100, newKey: false });
    expect(facts.validToUs).toBe(NOW_US + 100 * DAY_US);
    expect(folder.text('ServerKom1/key.pem')).toBe(key);
    await authority.renew('ServerKom1', { days: 100, newKey: true });
    expect(folder.text('ServerKom1/key.pem')).not.toBe(key);
    await expect(authority.renew('issued', { days: 1, newKey: false })).rejects.toThrow('ServerKom1');
  });

  it('revokes every certificate of a machine, tells every folder, and makes a new key', async () => {
    const old = await authority.provide(server('KomA'), 365);
    const key = folder.text('ServerKom1/key.pem');
    const renewed = await authority.renew('ServerKom1', { days: 100, newKey: false });
    await authority.provide(kernel(), 365);
    await authority.revoke('ServerKom1');
    const serials = (await readRevocationList(folder.text('kernel.central/crl.pem'))).map(
      ({ serialNumber }) => serialNumber,
    );
    expect(serials.sort()).toEqual([old.facts.serialNumber, renewed.facts.serialNumber].sort());
    expect(authority.machines()).toEqual(['kernel.central']);
    await expect(authority.revoke('ServerKom1')).rejects.toThrow('no certificate to revoke');
    expect((await authority.provide(server('KomA'), 365)).action).toBe('made');
    expect(folder.text('ServerKom1/key.pem')).not.toBe(key);
    const listed = await authority.certificates();
    expect(listed.map(({ name, isRevoked }) => [name, isRevoked])).toEqual([
      ['(authority)', false],
      ['ServerKom1', false],
      ['kernel.central', false],
      ['ServerKom1', true],
      ['ServerKom1', true],
    ]);
  });

  it('is opened where it is and nowhere else; half of one is not made whole', async () => {
    expect(() => SiteAuthority.open(new MemoryPkiFolder(), NOW_US)).toThrow('kom pki init');
    folder.remove('ca-key.pem');
    await expect(SiteAuthority.openOrMake(folder, 'S', NOW_US)).rejects.toThrow('ca-key.pem');
  });
});
