import type { OtherKernel } from '../../config/model/kernel.ts';
import { backoffDelaysMs } from '../../domain/backoff.ts';
import { isKomError, KomError } from '../../domain/errors.ts';
import type { Reign } from '../../domain/reign.ts';
import { AddressChoice } from '../../uplink/address-choice.ts';
import { Channel } from '../../uplink/channel.ts';
import { isOrdinaryEnd } from '../../uplink/ended.ts';
import { greet } from '../../uplink/greet.ts';
import { NAMED_DICTIONARIES_MAX } from '../../uplink/limits.ts';
import {
  type Hello,
  type KernelWord,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_WITH_KERNELS,
} from '../../uplink/messages.ts';
import { type FirstConnection, nextConnection } from '../../uplink/race.ts';
import { agreedPace, type Pace } from '../../uplink/silence.ts';
import type { Archive } from '../../world/archive.ts';
import type { CertificateFacts } from '../../world/certificate.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import { LONG_CONDITION_MS, RecurringLog } from '../../world/recurring-log.ts';
import { formatAddress, type TlsOptions, type Transport } from '../../world/transport.ts';
import type { Giver } from './giver.ts';
import type { Identities } from './identities.ts';
import { KERNEL_PACE, KernelSession } from './kernel-session.ts';
import type { TermGiver } from './term-giver.ts';

const DELAY_MIN_MS = 250;
const DELAY_MAX_MS = 2000;
const TIMEOUT_MS = 3000;

export interface KernelLinkOptions {
  readonly self: string;
  readonly other: OtherKernel;
  readonly giver: Giver;
  readonly terms: TermGiver;
  readonly epoch: () => number;
  readonly identity: () => string;
  readonly word: (receivedBytes: number) => KernelWord;
  readonly told: (word: KernelWord, connection: Channel) => void;
  readonly left: (connection: object) => void;
  readonly archive: Pick<Archive, 'dictionaries'>;
  readonly programVersion: string;
  readonly transport: Pick<Transport, 'connect'>;
  /** In the open if not given, and where the file calls the link insecure. */
  readonly tls?: TlsOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Dials another Kernel for as long as this one runs, and gives over the connection. */
export class KernelLink {
  readonly #options: KernelLinkOptions;
  readonly #choice: AddressChoice;
  #session: KernelSession | null = null;
  #lastError: string | null = null;
  readonly #failures: RecurringLog;

  constructor(options: KernelLinkOptions) {
    this.#options = options;
    this.#failures = new RecurringLog({ ...options, everyMs: LONG_CONDITION_MS });
    this.#choice = new AddressChoice({
      addresses: [...options.other.addresses.keys()],
      returnAfterMs: Number.POSITIVE_INFINITY,
      newDelaysMs: () =>
        backoffDelaysMs({
          ...{ delayMinMs: DELAY_MIN_MS, delayMaxMs: DELAY_MAX_MS },
          fraction: () => options.random.fraction(),
        }),
    });
  }

  get isConnected(): boolean {
    return this.#session !== null;
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  /** Says the word of this Kernel now. */
  tell(): void {
    this.#session?.tell();
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const first = await nextConnection(this.#choice, {
          connect: (index, cancel) => this.#connect(index, cancel),
          failed: (index, error) => this.#failed(index, error),
          clock: this.#options.clock,
          signal,
        });
        await this.#converse(first, signal).catch((error: unknown) => this.#failed(first.index, error));
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  async #converse({ index, connection }: FirstConnection, signal: AbortSignal): Promise<void> {
    const { clock, log, other, giver, terms, word, told } = this.#options;
    const channel = new Channel(connection, clock);
    try {
      checkKernel(channel.peerCertificate, other.name);
      const kernel = `${other.name} at ${this.#name(index)}`;
      const hello = await this.#hello();
      const welcome = await greet(channel, { hello, kernel, timeoutMs: TIMEOUT_MS, signal });
      if (welcome.protocol < PROTOCOL_WITH_KERNELS) {
        throw new KomError('KOM_PROTOCOL_VERSION', kernel, { got: String(welcome.protocol) });
      }
      const session: KernelSession = new KernelSession({
        ...{ channel, pace: agreedPace(welcome), word, clock, log },
        told: (each) => {
          if (each.name !== other.name) throw new KomError('KOM_PROTOCOL_STATE', `it is ${each.name}`);
          told(each, channel);
        },
        take: (message) => {
          if (message.type === 'forwardTerms') terms.take(message.terms);
          else if (!giver.take(message)) this.#refuse(message.type);
        },
        roomed: () => giver.roomed(),
      });
      this.#choice.works(index, clock.monotonicMs());
      this.#choice.stable(index);
      this.#session = session;
      this.#lastError = null;
      this.#failures.over();
      log.info({ kernel: other.name, remote: channel.remote }, 'connected to another Kernel');
      giver.opened(session, welcome.knownDictionaries);
      terms.opened(session);
      await session.run(signal);
    } finally {
      if (this.#session !== null) for (const each of [giver, terms]) each.closed();
      this.#session = null;
      this.#options.left(channel);
      channel.destroySoon();
    }
  }

  #refuse(type: string): never {
    throw new KomError('KOM_PROTOCOL_STATE', `a message ${type} from a taker`);
  }

  async #hello(): Promise<Hello> {
    const { self, programVersion, clock, epoch, archive, identity } = this.#options;
    // Of an archive that does not answer now nothing is given either.
    const dictionaryHashes = await archive.dictionaries().catch((error: unknown) => {
      if (!isKomError(error)) throw error;
      return [];
    });
    return {
      ...{ protocolMin: PROTOCOL_WITH_KERNELS, protocolMax: PROTOCOL_VERSION_MAX, programVersion },
      ...{ lane: 'kernel', sessionId: '', site: '', process: '', instance: 0, siteHash: '' },
      ...{ wallUs: clock.wallUs(), streams: [], highestTerm: 0 },
      dictionaryHashes: dictionaryHashes.slice(-NAMED_DICTIONARIES_MAX),
      ...{ ...KERNEL_PACE, highestKernelEpoch: epoch(), kernelName: self },
      ...(identity() === '' ? {} : { kernelIdentity: identity() }),
    };
  }

  #connect(index: number, signal: AbortSignal) {
    const { transport, other, tls } = this.#options;
    const address = other.addresses[index];
    if (address === undefined) throw new RangeError(`there is no address ${index}`);
    const secured = tls === undefined || other.insecure ? {} : { tls };
    return transport.connect(address, { timeoutMs: TIMEOUT_MS, signal, ...secured });
  }

  #failed(index: number, error: unknown): void {
    const { clock, other } = this.#options;
    if (!isKomError(error)) throw error;
    this.#choice.failed(index, { nowMs: clock.monotonicMs(), error: error.message });
    const fields = { kernel: other.name, code: error.code, error: error.message };
    this.#failures.say(
      isOrdinaryEnd(error) ? 'info' : 'warn',
      error.message,
      fields,
      'no link to another Kernel',
    );
    this.#lastError = error.message;
  }

  #name(index: number): string {
    const address = this.#options.other.addresses[index];
    return address === undefined ? '' : formatAddress(address);
  }
}

/**
 * Whether a certificate, where the link has TLS, is that of a Kernel of this name.
 * @throws KomError KOM_TLS_IDENTITY
 */
export function checkKernel(certificate: CertificateFacts | null, name: string): void {
  if (certificate === null) return;
  const { identities, subject } = certificate;
  if (identities.some((identity) => identity.role === 'kernel' && identity.name === name)) return;
  throw new KomError('KOM_TLS_IDENTITY', `Kernel ${name}`, {
    expected: `urn:kom:SITE:kernel:${name}`,
    got: subject,
    hint: 'kom pki init --kernel NAME=HOST makes certificates of Kernels by their names',
  });
}

interface KnownGroup {
  readonly reign: Reign;
  readonly identities: Identities;
  knows(name: string): boolean;
}

/**
 * Whether who says Hello on the lane of Kernels is another one of the file.
 * @throws KomError KOM_PROTOCOL_STATE, KOM_AGENT_UNKNOWN, KOM_TLS_IDENTITY, KOM_ALREADY_RUNNING
 */
export function checkedKernel(
  group: KnownGroup | null,
  { channel, hello, protocol }: { channel: Channel; hello: Hello; protocol: number },
): { readonly pace: Pace; readonly kernelEpoch: number } {
  if (group === null || protocol < PROTOCOL_WITH_KERNELS) {
    throw new KomError('KOM_PROTOCOL_STATE', 'the Kernel file names no other Kernels');
  }
  const name = hello.kernelName ?? '';
  if (!group.knows(name)) {
    throw new KomError('KOM_AGENT_UNKNOWN', `Kernel ${name}`, { hint: 'the Kernel file does not name it' });
  }
  checkKernel(channel.peerCertificate, name);
  group.identities.check(name, hello.kernelIdentity ?? '', channel);
  channel.established();
  return { pace: agreedPace(hello), kernelEpoch: group.reign.epoch };
}
