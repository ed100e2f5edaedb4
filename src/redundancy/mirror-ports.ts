import type { Message } from '../uplink/messages.ts';

/** What mirrors say to each other over the peer link. */
export type MirrorMessage = Extract<
  Message,
  {
    readonly type:
      | 'mirrorBlock'
      | 'mirrorStreams'
      | 'spilled'
      | 'mirrorAck'
      | 'dictionary'
      | 'needDictionary';
  }
>;

const TYPES = [
  'mirrorBlock',
  'mirrorStreams',
  'spilled',
  'mirrorAck',
  'dictionary',
  'needDictionary',
] as const satisfies readonly MirrorMessage['type'][];

export function isMirrorMessage(message: Message): message is MirrorMessage {
  return TYPES.some((type) => type === message.type);
}

/** Given to the peer link: the end of the mirror on this side. */
export interface MirrorSide {
  /** Messages go over a network from now on; nothing of what was sent before is sure to have arrived. */
  opened(): void;
  /** They go nowhere. */
  closed(): void;
  /** In the order in which they were sent; must not take long. @throws KomError ends the connection */
  take(message: MirrorMessage): void;
  /** There is room for more. */
  roomed(): void;
}

/** Given by the peer link. Everything goes over the first network that works. */
export interface MirrorPort {
  /**
   * Bytes that may be handed over now, so that nothing waits long behind them; 0 or less: wait for `roomed`.
   * One message may be larger than the room that is there, so that any message gets through.
   */
  readonly roomBytes: number;
  /** What the present network carries, bytes a second; `null` while unknown. */
  readonly bytesPerS: number | null;
  /** False: there is no network or no room, and nothing was sent. */
  send(message: MirrorMessage): boolean;
}
