import { clockDoubt, type PassedMoment } from '../domain/clock-doubt.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import { type CertificateIdentity, formatIdentity } from '../domain/identity.ts';
import { formatTimeUs } from '../domain/units.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { TlsFileAccess, TlsFiles } from '../world/tls-files.ts';
import type { TlsMaterial, TlsOptions } from '../world/transport.ts';
import { type OwnCertificates, readOwnCertificates } from './own-certificates.ts';

const DAY_US = 86_400_000_000;
/** The files are looked at this often. */
const LOOK_MS = 10_000;
/** A certificate that ends sooner is warned of, */
export const EXPIRY_WARNING_DAYS = 30;
/** once a day. */
const WARNING_PERIOD_MS = 86_400_000;

export interface CertificateKeeperOptions {
  readonly files: TlsFiles;
  readonly access: TlsFileAccess;
  /** Whose certificate it should be. */
  readonly role: CertificateIdentity['role'];
  /** Whom the own certificate should speak for. */
  readonly wanted: readonly CertificateIdentity[];
  /** What is known to have passed besides, such as the building of the program. */
  readonly passed?: readonly PassedMoment[];
  readonly clock: Clock;
  readonly log: Log;
}

/** The own certificate, for the status. */
export interface CertificateStatus {
  readonly subject: string | null;
  readonly fingerprint: string | null;
  /** Integer µs; `null` while there is none. */
  readonly validToUs: number | null;
  /** Whole days until then, negative afterwards. */
  readonly daysLeft: number | null;
  /** Why the files, as they are now, are not used. */
  readonly error: string | null;
  /** What an operator should mend, the end of the certificate within 30 days included. */
  readonly warnings: readonly string[];
}

/**
 * Keeps the own certificates as the files have them: new files are used for new connections, and unusable
 * ones leave the former in force, with a word in the log.
 */
export class CertificateKeeper implements TlsOptions {
  readonly #options: CertificateKeeperOptions;
  readonly #timer: Timer;
  #own: OwnCertificates | null = null;
  #error: KomError | null = null;
  #stamp: string | null = null;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #isLooking = false;

  private constructor(options: CertificateKeeperOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('certificates', LOOK_MS, () => void this.look());
  }

  /** Reads the files, and again whenever they change, until `close`. Files that are unusable are logged. */
  static async open(options: CertificateKeeperOptions): Promise<CertificateKeeper> {
    const keeper = new CertificateKeeper(options);
    await keeper.look();
    return keeper;
  }

  readonly material = (): TlsMaterial => {
    if (this.#own !== null) return this.#own.material;
    throw this.#error ?? new KomError('KOM_TLS_FILE', this.#options.files.certificate);
  };

  get status(): CertificateStatus {
    const facts = this.#own?.facts ?? null;
    return {
      subject: facts?.subject ?? null,
      fingerprint: facts?.fingerprint ?? null,
      validToUs: facts?.validToUs ?? null,
      daysLeft: facts === null ? null : daysLeft(facts.validToUs, this.#options.clock.wallUs()),
      error: this.#error?.message ?? null,
      warnings: this.#warnings(),
    };
  }

  close(): void {
    this.#timer.cancel();
  }

  /** Reads the files if they changed. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const stamp = await this.#stampNow();
      if (stamp !== this.#stamp) await this.#read(stamp);
      this.#warn();
    } finally {
      this.#isLooking = false;
    }
  }

  async #read(stamp: string): Promise<void> {
    const { files, access, passed = [], log } = this.#options;
    try {
      const own = await readOwnCertificates(files, access, passed);
      // Half-written files look unusable, or like a mixture; then the stamp is another one already.
      const isFirst = this.#own === null;
      this.#own = own;
      this.#error = null;
      const { subject, fingerprint, validToUs } = own.facts;
      const fields = { subject, fingerprint, validTo: formatTimeUs(validToUs) };
      log.info(fields, isFirst ? 'own certificate' : 'own certificate read again');
      this.#warnedMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      if (!isKomError(error)) throw error;
      this.#error = error;
      const kept = this.#own === null ? 'no TLS until they are' : 'the former ones stay in force';
      log.error({ code: error.code, error: error.message }, `certificates are not usable: ${kept}`);
    }
    this.#stamp = stamp;
  }

  async #stampNow(): Promise<string> {
    const { files, access } = this.#options;
    const paths = [files.ca, files.certificate, files.key, files.crl];
    return JSON.stringify(await Promise.all(paths.map((path) => access.stamp(path))));
  }

  #warn(): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#warnedMs < WARNING_PERIOD_MS) return;
    this.#warnedMs = nowMs;
    for (const warning of this.#warnings()) log.warn({}, warning);
  }

  #warnings(): string[] {
    if (this.#own === null) return [];
    const { facts, material, warnings } = this.#own;
    const { wanted, role, clock } = this.#options;
    const nowUs = clock.wallUs();
    const doubt = clockDoubt(nowUs, material.passed ?? []);
    const left = daysLeft(facts.validToUs, nowUs);
    const spoken = new Set(facts.identities.map(formatIdentity));
    const unspoken = wanted.map(formatIdentity).filter((identity) => !spoken.has(identity));
    return [
      ...warnings,
      ...(facts.identities.some((identity) => identity.role === role)
        ? []
        : [`the own certificate is not that of ${role === 'agent' ? 'an agent' : 'a Kernel'}`]),
      ...unspoken.map((uri) => `the own certificate does not speak for ${uri}: kom pki init adds it`),
      ...(doubt === null ? [] : [doubt]),
      ...(left >= EXPIRY_WARNING_DAYS || doubt !== null
        ? []
        : [`the own certificate ${ending(left)} (${formatTimeUs(facts.validToUs)}): kom pki renew`]),
    ];
  }
}

function ending(left: number): string {
  if (left < 0) return 'has expired';
  return left === 1 ? 'expires in 1 day' : `expires in ${left} days`;
}

/** Whole days until a moment, negative afterwards. */
export function daysLeft(untilUs: number, nowUs: number): number {
  return Math.floor((untilUs - nowUs) / DAY_US);
}
