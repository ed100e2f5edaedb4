import type { CertificateIdentity } from '../../../src/domain/identity.ts';
import {
  issueCertificate,
  type KeyedCertificate,
  makeAuthority,
  makeRevocationList,
  type Revocation,
} from '../../../src/pki/issue.ts';
import { readCertificate } from '../../../src/world/certificate.ts';
import type { TlsMaterial } from '../../../src/world/transport.ts';

const DAY_US = 86_400_000_000;
export const SITE = 'Plant 1';

/** Days from today in which a certificate is valid. */
export interface Days {
  readonly from?: number;
  readonly to?: number;
}

export const agent = (process = 'KomA', instance = 1, site = SITE): CertificateIdentity => ({
  ...{ role: 'agent', site, process, instance },
});
export const kernel = (site = SITE): CertificateIdentity => ({ role: 'kernel', site, name: 'Central' });

/** A site's authority for tests. */
export class TestAuthority {
  readonly #keyed: KeyedCertificate;
  readonly #revoked: Revocation[] = [];

  private constructor(keyed: KeyedCertificate) {
    this.#keyed = keyed;
  }

  static async make(name = SITE): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(name, validity({ from: -100, to: 100 })));
  }

  get certificate(): string {
    return this.#keyed.certificate;
  }

  /** Material of a machine with these identities, for 127.0.0.1. */
  async material(identities: readonly CertificateIdentity[], days: Days = {}): Promise<TlsMaterial> {
    const { certificate, key } = await this.#issue(identities, ['127.0.0.1'], days);
    return { ca: this.certificate, certificate, key, crl: await this.revocationList() };
  }

  /** The certificate of a machine that is nobody of a site, for its addresses. */
  serverAt(hosts: readonly string[]): Promise<KeyedCertificate> {
    return this.#issue([], hosts, {});
  }

  #issue(
    identities: readonly CertificateIdentity[],
    hosts: readonly string[],
    days: Days,
  ): Promise<KeyedCertificate> {
    const request = { commonName: 'machine', identities, hosts, validity: validity(days) };
    return issueCertificate(this.#keyed, request);
  }

  revocationList(): Promise<string> {
    return makeRevocationList(this.#keyed, this.#revoked);
  }

  async revoke({ certificate }: TlsMaterial): Promise<string> {
    const { serialNumber } = readCertificate(certificate);
    this.#revoked.push({ serialNumber, atUs: Date.now() * 1000 });
    return await this.revocationList();
  }
}

function validity({ from = -1, to = 90 }: Days) {
  const nowUs = Date.now() * 1000;
  return { fromUs: nowUs + from * DAY_US, toUs: nowUs + to * DAY_US };
}
