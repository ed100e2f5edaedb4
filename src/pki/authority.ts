import { KomError } from '../domain/errors.ts';
import { type CertificateIdentity, formatIdentity } from '../domain/identity.ts';
import { type CertificateFacts, readCertificate } from '../world/certificate.ts';
import {
  issueCertificate,
  type KeyedCertificate,
  makeAuthority,
  makeRevocationList,
  type Revocation,
  readRevocationList,
} from './issue.ts';
import { daysLeft, EXPIRY_WARNING_DAYS } from './keeper.ts';
import type { MachinePlan } from './plan.ts';

const DAY_US = 86_400_000_000;
/** Certificates are made on another machine than they are used on, and clocks differ. */
const BACKDATED_US = DAY_US;
const AUTHORITY_DAYS = 20 * 365;

/** Files of a directory by relative path; folders are made as needed. */
export interface PkiFolder {
  /** `null` if it is not there. */
  read(path: string): string | null;
  /** `isSecret`: only for the owner. Never replaces a file unless told to. */
  write(path: string, text: string, how?: { readonly isSecret?: boolean; readonly replace?: boolean }): void;
  /** Names in a folder; empty if it is not there. */
  list(path: string): readonly string[];
  /** Takes a folder away under another name. */
  move(from: string, to: string): void;
}

/** A certificate as `kom pki list` shows it. */
export interface ListedCertificate {
  readonly name: string;
  readonly facts: CertificateFacts;
  readonly isRevoked: boolean;
  readonly daysLeft: number;
}

/** What became of a machine. */
export interface MachineResult {
  readonly name: string;
  readonly role: CertificateIdentity['role'];
  readonly action: 'made' | 'renewed' | 'unchanged';
  readonly facts: CertificateFacts;
}

const CA_CERTIFICATE = 'ca.pem';
const CA_KEY = 'ca-key.pem';
const CRL = 'crl.pem';
/** Every certificate that was ever issued, as `NAME.SERIAL.pem`: what can be revoked. */
const ISSUED = 'issued';
const REVOKED = 'revoked';
const MACHINE_FILES = {
  ca: 'ca.pem',
  certificate: 'certificate.pem',
  key: 'key.pem',
  crl: 'crl.pem',
} as const;

/**
 * The authority of a site in a directory: `ca.pem`, `ca-key.pem`, `crl.pem`, a folder for each machine with
 * what that machine needs, and `issued/`. The directory belongs on no machine of the plant.
 */
export class SiteAuthority {
  readonly #folder: PkiFolder;
  readonly #keyed: KeyedCertificate;
  readonly #nowUs: number;

  private constructor(folder: PkiFolder, keyed: KeyedCertificate, nowUs: number) {
    this.#folder = folder;
    this.#keyed = keyed;
    this.#nowUs = nowUs;
  }

  /** The authority in a directory. @throws KomError KOM_TLS_FILE if there is none */
  static open(folder: PkiFolder, nowUs: number): SiteAuthority {
    const certificate = folder.read(CA_CERTIFICATE);
    const key = folder.read(CA_KEY);
    if (certificate === null || key === null) {
      throw new KomError('KOM_TLS_FILE', certificate === null ? CA_CERTIFICATE : CA_KEY, {
        got: 'no such file',
        hint: 'kom pki init site.json makes an authority; --directory says where it is',
      });
    }
    return new SiteAuthority(folder, { certificate, key }, nowUs);
  }

  /** The authority in a directory, made if there is none. */
  static async openOrMake(folder: PkiFolder, site: string, nowUs: number): Promise<SiteAuthority> {
    if (folder.read(CA_CERTIFICATE) === null && folder.read(CA_KEY) === null) {
      const validity = { fromUs: nowUs - BACKDATED_US, toUs: nowUs + AUTHORITY_DAYS * DAY_US };
      const keyed = await makeAuthority(`KOM Archive ${site}`.slice(0, 64), validity);
      folder.write(CA_KEY, keyed.key, { isSecret: true });
      folder.write(CA_CERTIFICATE, keyed.certificate);
      folder.write(CRL, await makeRevocationList(keyed, []));
    }
    return SiteAuthority.open(folder, nowUs);
  }

  /**
   * Makes sure that a machine has a certificate for what it is to speak for: one that does, and lasts, stays
   * as it is; else a new one is issued for the key that is there. Another site's identities are kept.
   */
  async provide(plan: MachinePlan, days: number): Promise<MachineResult> {
    const { name, role } = plan;
    const old = this.#folder.read(`${name}/${MACHINE_FILES.certificate}`);
    const facts = old === null ? null : readCertificate(old);
    const sites = new Set(plan.identities.map(({ site }) => site));
    const foreign = facts?.identities.filter(({ site }) => !sites.has(site)) ?? [];
    const identities = [...foreign, ...plan.identities];
    const hosts = [...new Set([...(foreign.length > 0 ? (facts?.hosts ?? []) : []), ...plan.hosts])];
    const isEnough =
      facts !== null &&
      same(facts.identities.map(formatIdentity), identities.map(formatIdentity)) &&
      hosts.every((host) => facts.hosts.includes(normalHost(host))) &&
      daysLeft(facts.validToUs, this.#nowUs) >= EXPIRY_WARNING_DAYS;
    if (isEnough) {
      this.#shareLists(name);
      return { name, role, action: 'unchanged', facts };
    }
    const made = await this.#issue({ name, identities, hosts, days, newKey: false });
    return { name, role, action: old === null ? 'made' : 'renewed', facts: made };
  }

  /** A new certificate for what the machine's present one says. @throws KomError KOM_USAGE */
  async renew(
    name: string,
    how: { readonly days: number; readonly newKey: boolean },
  ): Promise<MachineResult> {
    const { identities, hosts } = this.#present(name);
    const facts = await this.#issue({ name, identities, hosts, ...how });
    return { name, role: identities[0]?.role ?? 'agent', action: 'renewed', facts };
  }

  /**
   * Revokes every certificate that the machine ever had, in the list of every folder, and puts its folder
   * away. @throws KomError KOM_USAGE
   */
  async revoke(name: string): Promise<readonly Revocation[]> {
    const issued = this.#issued().filter((each) => each.name === name);
    const known = await this.#revoked();
    const fresh = issued
      .filter(({ facts }) => !known.some(({ serialNumber }) => serialNumber === facts.serialNumber))
      .map(({ facts }) => ({ serialNumber: facts.serialNumber, atUs: this.#nowUs }));
    if (fresh.length === 0) throw new KomError('KOM_USAGE', `${name} has no certificate to revoke`);
    const list = await makeRevocationList(this.#keyed, [...known, ...fresh]);
    this.#folder.write(CRL, list, { replace: true });
    if (this.#folder.read(`${name}/${MACHINE_FILES.certificate}`) !== null) {
      this.#folder.move(name, `${REVOKED}/${name}.${fresh.at(-1)?.serialNumber}`);
    }
    for (const machine of this.machines()) this.#shareLists(machine);
    return fresh;
  }

  /** The authority itself, then the present certificate of each machine, then older ones that still count. */
  async certificates(): Promise<ListedCertificate[]> {
    const revoked = new Set((await this.#revoked()).map(({ serialNumber }) => serialNumber));
    const listed = (name: string, facts: CertificateFacts): ListedCertificate => ({
      ...{ name, facts, isRevoked: revoked.has(facts.serialNumber) },
      daysLeft: daysLeft(facts.validToUs, this.#nowUs),
    });
    const present = this.machines().map((name) => listed(name, this.#present(name)));
    const serials = new Set(present.map(({ facts }) => facts.serialNumber));
    const older = this.#issued()
      .filter(({ facts }) => !serials.has(facts.serialNumber) && facts.validToUs > this.#nowUs)
      .map(({ name, facts }) => listed(name, facts));
    return [listed('(authority)', readCertificate(this.#keyed.certificate)), ...present, ...older];
  }

  /** Names of the machines that have a folder. */
  machines(): readonly string[] {
    return this.#folder
      .list('')
      .filter((name) => this.#folder.read(`${name}/${MACHINE_FILES.certificate}`) !== null);
  }

  async #issue(order: {
    readonly name: string;
    readonly identities: readonly CertificateIdentity[];
    readonly hosts: readonly string[];
    readonly days: number;
    readonly newKey: boolean;
  }): Promise<CertificateFacts> {
    const { name, identities, hosts, days, newKey } = order;
    const keyPath = `${name}/${MACHINE_FILES.key}`;
    const key = newKey ? null : this.#folder.read(keyPath);
    const authority = readCertificate(this.#keyed.certificate);
    const toUs = Math.min(this.#nowUs + days * DAY_US, authority.validToUs);
    const issued = await issueCertificate(this.#keyed, {
      ...{ commonName: name.slice(0, 64), identities, hosts },
      validity: { fromUs: this.#nowUs - BACKDATED_US, toUs },
      ...(key === null ? {} : { key }),
    });
    const facts = readCertificate(issued.certificate);
    this.#folder.write(`${ISSUED}/${name}.${facts.serialNumber}.pem`, issued.certificate);
    if (key === null) this.#folder.write(keyPath, issued.key, { isSecret: true, replace: newKey });
    this.#folder.write(`${name}/${MACHINE_FILES.certificate}`, issued.certificate, { replace: true });
    this.#shareLists(name);
    return facts;
  }

  #shareLists(name: string): void {
    const crl = this.#folder.read(CRL);
    this.#folder.write(`${name}/${MACHINE_FILES.ca}`, this.#keyed.certificate, { replace: true });
    if (crl !== null) this.#folder.write(`${name}/${MACHINE_FILES.crl}`, crl, { replace: true });
  }

  #present(name: string): CertificateFacts {
    // Only what is a folder here: a name is no path.
    const isKnown = this.machines().includes(name);
    const text = isKnown ? this.#folder.read(`${name}/${MACHINE_FILES.certificate}`) : null;
    if (text !== null) return readCertificate(text);
    throw new KomError('KOM_USAGE', `no folder ${name} with a certificate`, {
      expected: `one of ${this.machines().join(', ')}`,
    });
  }

  #issued(): { readonly name: string; readonly facts: CertificateFacts }[] {
    return this.#folder.list(ISSUED).flatMap((file) => {
      const name = /^(.+)\.[0-9A-F]+\.pem$/.exec(file)?.[1];
      const text = this.#folder.read(`${ISSUED}/${file}`);
      return name === undefined || text === null ? [] : [{ name, facts: readCertificate(text) }];
    });
  }

  async #revoked(): Promise<Revocation[]> {
    const text = this.#folder.read(CRL);
    return text === null ? [] : await readRevocationList(text);
  }
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((each) => right.includes(each));
}

/** As Node prints an address in a certificate. */
function normalHost(host: string): string {
  if (!host.includes(':')) return host;
  const [head = '', tail] = new URL(`http://[${host}]/`).hostname.slice(1, -1).split('::');
  const left = head.split(':').filter((part) => part !== '');
  const right = tail?.split(':').filter((part) => part !== '') ?? [];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...(tail === undefined ? [] : zeros), ...right].join(':').toUpperCase();
}
