import { MirrorStore } from '../buffer/mirror-store.ts';
import { segmentBytesOf } from '../domain/segment-size.ts';
import type { UplinkMirror } from '../uplink/block-source.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Disk } from '../world/store.ts';
import { MirrorHold } from './mirror-hold.ts';
import type { MirrorMessage, MirrorPort, MirrorSide } from './mirror-ports.ts';
import { MirrorReceiver } from './mirror-receiver.ts';
import { MirrorSender, type OwnStore } from './mirror-sender.ts';
import { MirrorSource } from './mirror-source.ts';

/** Of the capacity of a store, at most, for what is mirrored. */
export const MIRROR_SHARE_MAX = 0.5;

/** A place for mirrored blocks beside a store of this instance. */
export interface MirrorPlace {
  /** Of the mirror alone. */
  readonly disk: Disk;
  /** Of the store beside it. */
  readonly capacityBytes: number;
  /** What that store takes on the disk now. */
  readonly ownBytes: () => number;
}

export interface MirrorOptions {
  /** Of this instance, the most urgent first. */
  readonly stores: readonly OwnStore[];
  readonly main: MirrorPlace;
  /** Where alarms have a store of their own; `null`: they go with the rest. */
  readonly alarms: MirrorPlace | null;
  /** Bound of what is held in memory. */
  readonly memoryBytes: number;
  /** `always` of the site file: the mirror writes everything. */
  readonly writesAll: boolean;
  readonly segmentBytesMax?: number;
  /** The other instance of the process. */
  readonly peerInstance: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Plain values, for the status. */
export interface MirrorStatus {
  /** Of the other instance, in memory and on the disk. */
  readonly heldSamples: number;
  readonly heldBytes: number;
  readonly diskBytes: number;
  /** Of this instance: not acknowledged, and not known to be with the peer. */
  readonly lagBytes: number;
  /** Streams that this instance delivers in place of the other one. */
  readonly deliversFor: readonly string[];
}

/**
 * Both ends of the mirrors of a pair: what this instance holds of the other one, and what the other one holds
 * of it. Given to the peer link as its mirror side, and to the uplink as a further source.
 */
export class Mirror implements MirrorSide {
  readonly #hold: MirrorHold;
  readonly #sender: MirrorSender;
  readonly #receiver: MirrorReceiver;
  readonly #source: MirrorSource;
  #port: MirrorPort | null = null;

  constructor(options: MirrorOptions, hold: MirrorHold) {
    const { stores, clock, log, peerInstance: ownerInstance } = options;
    this.#hold = hold;
    const link = (): MirrorPort | null => this.#port;
    const port: MirrorPort = {
      get roomBytes() {
        return link()?.roomBytes ?? 0;
      },
      get bytesPerS() {
        return link()?.bytesPerS ?? null;
      },
      send: (message) => link()?.send(message) ?? false,
    };
    this.#sender = new MirrorSender({ stores, port, clock, log });
    this.#receiver = new MirrorReceiver({ hold, ownerInstance, port, clock });
    this.#source = new MirrorSource({
      hold,
      relay: (streamId, throughSequence) => this.#receiver.relay(streamId, throughSequence),
    });
  }

  /** For the uplink. */
  get source(): UplinkMirror {
    return this.#source;
  }

  get lagBytes(): number {
    return this.#sender.lagBytes;
  }

  get status(): MirrorStatus {
    const { heldSamples, memoryBytes, diskBytes } = this.#hold;
    const heldBytes = memoryBytes + diskBytes;
    const { deliversFor } = this.#source;
    return { heldSamples, heldBytes, diskBytes, lagBytes: this.lagBytes, deliversFor };
  }

  /** The peer link, once it is there. */
  attach(port: MirrorPort): void {
    this.#port = port;
  }

  opened(): void {
    this.#receiver.opened();
    this.#sender.opened();
  }

  closed(): void {
    this.#receiver.closed();
    this.#sender.closed();
  }

  roomed(): void {
    this.#receiver.roomed();
    this.#sender.roomed();
  }

  /** @throws KomError for what the peer must not say */
  take(message: MirrorMessage): void {
    switch (message.type) {
      case 'mirrorStreams': {
        const isReport = message.streams.some(({ ownerInstance }) => ownerInstance !== undefined);
        if (isReport) this.#sender.report(message.streams);
        else this.#receiver.streams(message.streams);
        return;
      }
      case 'mirrorBlock':
        this.#receiver.block(message.bytes, message.isSpilled);
        return;
      case 'dictionary':
        this.#receiver.dictionary(message.hash, message.content);
        return;
      case 'needDictionary':
        this.#sender.needDictionary(message.hash);
        return;
      case 'spilled':
        this.#receiver.spilled(message.streamId, message.throughSequence);
        return;
      case 'mirrorAck': {
        const own = message.coverage.filter(({ streamId }) => this.#sender.owns(streamId));
        this.#sender.acknowledged(own);
        this.#receiver.acknowledged(message.coverage.filter((each) => !own.includes(each)));
      }
    }
  }

  /** What is in memory goes to the disk. */
  async close(): Promise<void> {
    this.#sender.stop();
    this.#receiver.stop();
    await this.#hold.close();
  }
}

/** Opens the mirror of an instance; always succeeds, whatever is on its disk. */
export async function openMirror(options: MirrorOptions): Promise<Mirror> {
  const { main, alarms, memoryBytes, writesAll, clock } = options;
  const hold = new MirrorHold({
    main: await openPlace(main, options),
    alarms: alarms === null ? null : await openPlace(alarms, options),
    ...{ memoryBytes, writesAll, clock },
  });
  return new Mirror(options, hold);
}

function openPlace(place: MirrorPlace, options: MirrorOptions): Promise<MirrorStore> {
  const { disk, capacityBytes, ownBytes } = place;
  const { segmentBytesMax, clock, log, peerInstance: ownerInstance } = options;
  const segmentBytes = segmentBytesOf(capacityBytes * MIRROR_SHARE_MAX, segmentBytesMax);
  return MirrorStore.open({
    ...{ disk, segmentBytes, clock, log, ownerInstance },
    // Own data comes first, and the store beside it may begin a new segment at any time.
    boundBytes: () => {
      const ownSegmentBytes = segmentBytesOf(capacityBytes, segmentBytesMax);
      const leftBytes = capacityBytes - ownBytes() - ownSegmentBytes;
      return Math.max(0, Math.min(capacityBytes * MIRROR_SHARE_MAX, leftBytes));
    },
  });
}
