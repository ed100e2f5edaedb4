import { readBlock } from '../domain/block/codec.ts';
import { KomError } from '../domain/errors.ts';
import type { StreamCoverage, StreamState } from '../uplink/messages.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { HeldMirror, MirrorHold } from './mirror-hold.ts';
import type { MirrorPort } from './mirror-ports.ts';

/** What is held is told to the owner at this pace, where it changed. */
const REPORT_MS = 250;
/** A network that changes is no silence. */
const SILENT_MS = 500;
/** Streams whose acknowledgement waits for the owner. */
const RELAYED_MAX = 1000;

export interface MirrorReceiverOptions {
  readonly hold: MirrorHold;
  readonly ownerInstance: number;
  readonly port: MirrorPort;
  readonly clock: Clock;
}

/** Takes what the owner sends into the hold, and tells it what is held and what a Kernel archived of it. */
export class MirrorReceiver {
  readonly #options: MirrorReceiverOptions;
  readonly #timer: Timer;
  #silence: Timer | null = null;
  /** The owner said which streams it has, over this network. */
  #isTold = false;
  #reported = '';
  /** Acknowledged by a Kernel, to be told to the owner. */
  readonly #relayed = new Map<string, number>();

  constructor(options: MirrorReceiverOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('mirror report', REPORT_MS, () => this.#tend());
  }

  opened(): void {
    this.#silence?.cancel();
    this.#silence = null;
    this.#isTold = false;
  }

  closed(): void {
    const { clock, hold } = this.#options;
    this.#isTold = false;
    this.#silence?.cancel();
    this.#silence = clock.schedule('mirror silence', SILENT_MS, () => hold.writeAll());
  }

  roomed(): void {
    this.#report();
  }

  /** @throws KomError KOM_PROTOCOL_STATE if a block's stream was not told before */
  streams(streams: readonly StreamState[]): void {
    const { hold, ownerInstance } = this.#options;
    hold.tell(
      streams.map(({ streamId, bootId, startedAtUs, previous, producedTo, endedAtUs }) => {
        return { info: { streamId, bootId, startedAtUs, previous }, ownerInstance, producedTo, endedAtUs };
      }),
    );
    this.#isTold = true;
    this.#reported = '';
    this.#report();
  }

  /** @throws KomError KOM_BLOCK_CORRUPT, KOM_PROTOCOL_STATE */
  block(bytes: Uint8Array, isSpilled: boolean): void {
    const { hold, port } = this.#options;
    const block = readBlock(bytes);
    const { streamId, dictionaryHash: hash } = block.header;
    if (!hold.knows(streamId)) {
      throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} is mirrored and was not told before`);
    }
    if (!hold.dictionaries.has(hash)) port.send({ type: 'needDictionary', hash });
    else hold.take(block, isSpilled);
  }

  /** @throws KomError KOM_DICTIONARY_CORRUPT */
  dictionary(hash: string, content: Uint8Array): void {
    this.#options.hold.dictionaries.put(hash, content);
  }

  spilled(streamId: string, throughSequence: number): void {
    this.#options.hold.spilled(streamId, throughSequence);
  }

  acknowledged(coverage: readonly StreamCoverage[]): void {
    this.#options.hold.forget(coverage);
  }

  /** A Kernel has what was delivered from here: the owner is to know. */
  relay(streamId: string, throughSequence: number): void {
    if (!this.#relayed.has(streamId) && this.#relayed.size >= RELAYED_MAX) return;
    if (throughSequence <= (this.#relayed.get(streamId) ?? 0)) return;
    this.#relayed.set(streamId, throughSequence);
    this.#tellRelayed();
  }

  stop(): void {
    this.#timer.cancel();
    this.#silence?.cancel();
  }

  #tend(): void {
    void this.#options.hold.tend();
    this.#tellRelayed();
    this.#report();
  }

  #tellRelayed(): void {
    if (!this.#isTold || this.#relayed.size === 0) return;
    const coverage = [...this.#relayed].map(([streamId, throughSequence]) => {
      return { streamId, throughSequence, held: [] };
    });
    if (this.#options.port.send({ type: 'mirrorAck', coverage })) this.#relayed.clear();
  }

  #report(): void {
    if (!this.#isTold) return;
    const streams = this.#options.hold.streams().map(reportOf);
    const report = JSON.stringify(streams);
    // Whose list it is says the owner in each of its streams, and every instance has one.
    if (report === this.#reported || streams.length === 0) return;
    if (this.#options.port.send({ type: 'mirrorStreams', streams })) this.#reported = report;
  }
}

/** What the owner needs to know; `producedTo`: nothing is wanted up to it. */
function reportOf({ stream, held, heldFromUs, gaveUpThrough }: HeldMirror): StreamState {
  const { info, ownerInstance, endedAtUs } = stream;
  return {
    ...info,
    previous: null,
    held,
    heldFromUs,
    producedTo: gaveUpThrough,
    endedAtUs,
    running: false,
    ownerInstance,
  };
}
