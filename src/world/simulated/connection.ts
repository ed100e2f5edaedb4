import { joinBytes } from '../../domain/bytes.ts';
import { KomError } from '../../domain/errors.ts';
import type { CertificateFacts } from '../certificate.ts';
import type { Clock } from '../clock.ts';
import type { Connection } from '../transport.ts';
import { type Path, Pipe, type PipeEnd } from './pipe.ts';
import type { SimulatedRandom } from './random.ts';

/** Arrived pieces are read one by one or, as often, joined: a reader must not rely on boundaries. */
const MERGE_PROBABILITY = 0.5;

/** A connection between two simulated hosts, as both of them see it. */
export interface ConnectionPair {
  readonly client: SimulatedConnection;
  readonly server: SimulatedConnection;
  /** Breaks it for both sides at this moment, whatever is on the way. */
  reset(): void;
}

export interface PairSetup {
  readonly clock: Clock;
  readonly random: SimulatedRandom;
  readonly toServer: Path;
  readonly toClient: Path;
  /** How each side names the other. */
  readonly serverName: string;
  readonly clientName: string;
  /** What each side shows, without TLS nothing. */
  readonly serverCertificate: CertificateFacts | null;
  readonly clientCertificate: CertificateFacts | null;
  /** The connection breaks when the server has got so many bytes. */
  readonly breakAfterBytes: number;
  /** Carries a reset to the other side over the network. */
  readonly notifyServer: (reset: () => void) => void;
  readonly notifyClient: (reset: () => void) => void;
  /** Called when neither side uses the connection any more. */
  readonly onOver: () => void;
}

/** Joins two hosts by two pipes. */
export function createPair(setup: PairSetup): ConnectionPair {
  const { clock, random, onOver } = setup;
  const sides = { client: false, server: false };
  const over = (side: 'client' | 'server') => {
    sides[side] = true;
    if (sides.client && sides.server) onOver();
  };
  const server: SimulatedConnection = new SimulatedConnection({
    remote: setup.clientName,
    peerCertificate: setup.clientCertificate,
    random,
    makePipe: () => pipe(setup.toClient, () => client, Number.POSITIVE_INFINITY),
    consumed: (bytes) => client.pipe.consumed(bytes),
    notifyPeer: () => setup.notifyClient(() => client.break()),
    onOver: () => over('server'),
  });
  const client: SimulatedConnection = new SimulatedConnection({
    remote: setup.serverName,
    peerCertificate: setup.serverCertificate,
    random,
    makePipe: () => pipe(setup.toServer, () => server, setup.breakAfterBytes),
    consumed: (bytes) => server.pipe.consumed(bytes),
    notifyPeer: () => setup.notifyServer(() => server.break()),
    onOver: () => over('client'),
  });
  const reset = () => {
    client.break();
    server.break();
  };
  const pipe = (path: Path, receiver: () => SimulatedConnection, breakAfterBytes: number) => {
    const end: PipeEnd = {
      arrived: (bytes) => receiver().arrived(bytes),
      ended: () => receiver().ended(),
    };
    return new Pipe({ clock, random, path, end, breakAfterBytes, onBreak: reset });
  };
  return { client, server, reset };
}

interface SideSetup {
  readonly remote: string;
  readonly peerCertificate: CertificateFacts | null;
  readonly random: SimulatedRandom;
  readonly makePipe: () => Pipe;
  readonly consumed: (bytes: number) => void;
  readonly notifyPeer: () => void;
  readonly onOver: () => void;
}

/** One side of a connection. Unread bytes are bounded by the pipe's window. */
export class SimulatedConnection implements Connection, PipeEnd {
  readonly remote: string;
  readonly peerCertificate: CertificateFacts | null;
  readonly #setup: SideSetup;
  #pipe: Pipe | undefined;
  #inbox: Uint8Array[] = [];
  #isBroken = false;
  #isClosed = false;
  #hasEnded = false;
  #isDiscarding = false;
  #wakeReader: () => void = () => {};

  constructor(setup: SideSetup) {
    this.remote = setup.remote;
    this.peerCertificate = setup.peerCertificate;
    this.#setup = setup;
  }

  /** Carries this side's bytes to the other. */
  get pipe(): Pipe {
    this.#pipe ??= this.#setup.makePipe();
    return this.#pipe;
  }

  get queuedBytes(): number {
    return this.pipe.queuedBytes;
  }

  async send(bytes: Uint8Array): Promise<void> {
    if (this.#isBroken || this.#isClosed) throw this.#lost();
    await this.pipe.send(bytes);
    if (this.#isBroken) throw this.#lost();
  }

  close(): void {
    if (this.#isBroken || this.#isClosed) return;
    this.#isClosed = true;
    this.pipe.finish();
    if (this.#hasEnded) this.#setup.onOver();
  }

  destroy(): void {
    if (this.#isBroken) return;
    this.break();
    this.#setup.notifyPeer();
  }

  /** The connection is gone for this side: what was not read is lost. */
  break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#inbox = [];
    this.pipe.kill();
    this.#wakeReader();
    this.#setup.onOver();
  }

  arrived(bytes: Uint8Array): void {
    if (this.#isBroken) return;
    if (this.#isDiscarding) this.#setup.consumed(bytes.length);
    else this.#inbox.push(bytes);
    this.#wakeReader();
  }

  ended(): void {
    this.#hasEnded = true;
    this.#wakeReader();
    if (this.#isClosed) this.#setup.onOver();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        while (this.#inbox.length === 0 && !this.#hasEnded && !this.#isBroken) {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
        if (this.#isBroken) throw this.#lost();
        if (this.#inbox.length === 0) return { done: true, value: undefined };
        const value = this.#takeUnread();
        this.#setup.consumed(value.length);
        return { done: false, value };
      },
      return: async () => {
        this.#isDiscarding = true;
        for (const bytes of this.#inbox.splice(0)) this.#setup.consumed(bytes.length);
        return { done: true, value: undefined };
      },
    };
  }

  #takeUnread(): Uint8Array {
    const count = this.#setup.random.chance(MERGE_PROBABILITY) ? this.#inbox.length : 1;
    const [only] = this.#inbox;
    if (count > 1 || only === undefined) return joinBytes(this.#inbox.splice(0, count));
    this.#inbox.shift();
    return only;
  }

  #lost(): KomError {
    return new KomError('KOM_CONNECTION_LOST', this.remote);
  }
}
