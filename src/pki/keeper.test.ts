import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KomError } from '../domain/errors.ts';
import type { CertificateIdentity } from '../domain/identity.ts';
import { type LogFields, silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import { issueCertificate, type KeyedCertificate, makeAuthority } from './issue.ts';
import { CertificateKeeper } from './keeper.ts';

const NOW_US = 1_800_000_000_000_000;
const DAY_US = 86_400_000_000;
const FILES = { ca: 'ca', certificate: 'certificate', key: 'key', crl: 'crl', isCrlOptional: true };
const KOM_A: CertificateIdentity = { role: 'agent', site: 'S', process: 'KomA', instance: 1 };

describe('own certificates', () => {
  let authority: KeyedCertificate;
  let files: Map<string, { text: string; modifiedUs: number; isOpenToOthers: boolean }>;
  let clock: SimulatedClock;
  let lines: { level: string; text: string }[];

  beforeAll(async () => {
    authority = await makeAuthority('S', { fromUs: NOW_US - DAY_US, toUs: NOW_US + 900 * DAY_US });
  });
  beforeEach(() => {
    files = new Map();
    clock = new SimulatedClock(NOW_US);
    lines = [];
  });

  const access: TlsFileAccess = {
    stamp: async (path) => (files.has(path) ? JSON.stringify(files.get(path)) : null),
    read: async (path) => {
      const file = files.get(path);
      if (file === undefined) throw new KomError('KOM_TLS_FILE', path);
      return file;
    },
    check: async () => {},
  };
  const put = (path: string, text: string, isOpenToOthers = false): void => {
    files.set(path, { text, modifiedUs: NOW_US, isOpenToOthers });
  };
  const provide = async (days: number, by = authority): Promise<KeyedCertificate> => {
    const made = await issueCertificate(by, {
      ...{ commonName: 'ServerKom1', identities: [KOM_A], hosts: [] },
      validity: { fromUs: NOW_US - DAY_US, toUs: NOW_US + days * DAY_US },
    });
    put('ca', authority.certificate);
    put('certificate', made.certificate);
    put('key', made.key);
    return made;
  };
  const open = (wanted: readonly CertificateIdentity[] = [KOM_A]): Promise<CertificateKeeper> => {
    const say = (level: string) => (fields: LogFields, text: string) =>
      void lines.push({ level, text: `${text} ${JSON.stringify(fields)}` });
    const log = { ...silentLog, info: say('info'), warn: say('warn'), error: say('error') };
    return CertificateKeeper.open({ files: FILES, access, role: 'agent', wanted, clock, log });
  };

  it('are read, and read again when the files change; unusable ones leave the former in force', async () => {
    await provide(365);
    const keeper = await open();
    const first = keeper.material();
    expect(keeper.status).toMatchObject({ daysLeft: 365, error: null, warnings: [] });
    await clock.advance(60_000);
    expect(keeper.material()).toBe(first);
    const second = await provide(400);
    await clock.advance(20_000);
    expect(keeper.material().certificate).toBe(second.certificate);
    const stranger = await provide(500);
    put('key', second.key);
    await clock.advance(20_000);
    expect(keeper.material().certificate).toBe(second.certificate);
    expect(keeper.status.error).toContain('a key is not that of its certificate');
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    put('key', stranger.key);
    await clock.advance(20_000);
    expect(keeper.material().certificate).toBe(stranger.certificate);
    expect(keeper.status.error).toBeNull();
    put('crl', 'a list');
    await clock.advance(20_000);
    expect(keeper.material().crl).toBe('a list');
    keeper.close();
  });

  it('that are not there are told, and taken when they come', async () => {
    const keeper = await open();
    expect(() => keeper.material()).toThrow('not usable');
    expect(keeper.status).toMatchObject({ subject: null, daysLeft: null });
    await provide(365);
    await clock.advance(20_000);
    expect(keeper.material().ca).toBe(authority.certificate);
    keeper.close();
  });

  it('name the file that is not what it should be', async () => {
    const made = await provide(365);
    for (const [path, text, why] of [
      ['key', 'nonsense', 'no private key'],
      ['certificate', made.key, 'certificate'],
      ['ca', '', 'no certificate'],
    ] as const) {
      await provide(365);
      put(path, text);
      const keeper = await open();
      expect(keeper.status.error).toContain(`not usable: ${path}`);
      expect(keeper.status.error).toContain(why);
      expect(keeper.status.error).not.toContain('PRIVATE KEY');
      keeper.close();
    }
  });

  it('are warned of 30 days before they end, once a day', async () => {
    await provide(31.5);
    const keeper = await open();
    const warned = (): number => lines.filter(({ text }) => text.includes('expire')).length;
    expect(warned()).toBe(0);
    await clock.advance(2 * 86_400_000);
    expect(warned()).toBe(1);
    expect(keeper.status.warnings.join()).toContain('expires in 29 days');
    await clock.advance(86_400_000);
    expect(warned()).toBe(2);
    clock.stepWallMs(86_400_000 * 30);
    expect(keeper.status.warnings.join()).toContain('has expired');
    expect(keeper.status.daysLeft).toBeLessThan(0);
    keeper.close();
  });

  it('are warned of: a key that others can read, an unknown issuer, a process that is missing', async () => {
    const made = await provide(
      365,
      await makeAuthority('T', { fromUs: NOW_US - DAY_US, toUs: NOW_US + DAY_US }),
    );
    put('key', made.key, true);
    const keeper = await open([KOM_A, { ...KOM_A, process: 'KomB' }]);
    const { warnings } = keeper.status;
    expect(warnings).toHaveLength(3);
    expect(warnings.join()).toMatch(/chmod 600.*not issued by.*urn:kom:S:agent:KomB:1/);
    keeper.close();
  });

  it('name the clock of this machine when it must be wrong', async () => {
    await provide(365);
    const keeper = await open();
    clock.stepWallMs(-50 * 365 * 86_400_000);
    expect(keeper.status.warnings).toEqual([
      expect.stringMatching(
        /^the clock of this machine is wrong: it shows 197\d-.* but .* was written at 20/,
      ),
    ]);
    expect(keeper.material().passed?.length).toBe(3);
    keeper.close();
  });
});
