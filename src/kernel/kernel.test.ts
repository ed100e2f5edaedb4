import { expect, it } from 'vitest';
import type { KernelConfig } from '../config/model/kernel.ts';
import { KomError } from '../domain/errors.ts';
import { issueCertificate, makeAuthority } from '../pki/issue.ts';
import { type LogFields, silentLog } from '../world/log.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { SimulatedNetwork } from '../world/simulated/network.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import { Kernel } from './kernel.ts';

const NOW_US = 1_800_000_000_000_000;
const DAY_US = 86_400_000_000;
const VALIDITY = { fromUs: NOW_US - DAY_US, toUs: NOW_US + 365 * DAY_US };

/** Files with the certificate of a Kernel, which take a moment to be read. */
async function certificatesOf(name: string, clock: SimulatedClock): Promise<TlsFileAccess> {
  const authority = await makeAuthority('S', VALIDITY);
  const own = await issueCertificate(authority, {
    ...{ commonName: name, hosts: [], validity: VALIDITY },
    identities: [{ role: 'kernel', site: 'S', name }],
  });
  const texts = new Map([
    ['ca', authority.certificate],
    ['certificate', own.certificate],
    ['key', own.key],
  ]);
  return {
    stamp: async (path) => texts.get(path) ?? null,
    read: async (path) => {
      await clock.sleep(20);
      const text = texts.get(path);
      if (text === undefined) throw new KomError('KOM_TLS_FILE', path);
      return { text, modifiedUs: NOW_US, isOpenToOthers: false };
    },
    check: async () => {},
  };
}

it('one of several Kernels with TLS dials the others with its certificates from the start', async () => {
  const clock = new SimulatedClock(NOW_US);
  const random = createSimulatedRandom(3);
  const host = new SimulatedNetwork({ clock, random }).host('a');
  const warnings: string[] = [];
  const say = (fields: LogFields, text: string) => void warnings.push(`${text} ${JSON.stringify(fields)}`);
  let dialled = 0;
  const config: KernelConfig = {
    ...{ listen: { host: 'a', port: 3119 }, insecure: false, agents: [], controlSocket: '/run/a.sock' },
    tls: { ca: 'ca', certificate: 'certificate', key: 'key', crl: 'crl', isCrlOptional: true },
    archive: { kind: 'embedded', directory: '/a', memoryLimitBytes: 1, retentionMs: null },
    redundancy: {
      ...{ name: 'A', firstRole: 'hot', ackPolicy: 'in-sync' },
      kernels: [{ name: 'B', addresses: [{ host: 'b', port: 3119 }], insecure: false }],
      ring: { directory: '/a/ring', capacityBytes: 8_000_000 },
    },
  };
  const starting = Kernel.start({
    ...{ config, clock, random, programVersion: 'test', handlers: () => ({}) },
    log: { ...silentLog, warn: say, error: say },
    tlsFiles: await certificatesOf('A', clock),
    openArchive: async () => new SimulatedArchive(),
    openGroupDisk: async () => new SimulatedDisk(clock, random),
    transport: {
      ...host,
      connect: async (_, { tls }) => {
        dialled += 1;
        tls?.material();
        throw new KomError('KOM_CONNECTION_REFUSED', 'b');
      },
    },
  });
  await clock.advance(1000);
  const kernel = await starting;
  expect(dialled).toBeGreaterThan(0);
  expect(warnings.filter((line) => !line.includes('KOM_CONNECTION_REFUSED'))).toEqual([]);
  await kernel.stop();
});
