import type { Message } from '../../uplink/messages.ts';

/** The connection that is given over. */
export interface GivePort {
  readonly roomBytes: number;
  /** False: there is no room. */
  give(message: Message): boolean;
}

/** What came of giving. */
export type Gave = 'some' | 'nothing' | 'no room';

/** One connection, for whoever waited while it ended: there is no room on it any more. */
export class OpenPort implements GivePort {
  #port: GivePort | null;

  constructor(port: GivePort) {
    this.#port = port;
  }

  get isOpen(): boolean {
    return this.#port !== null;
  }

  get roomBytes(): number {
    return this.#port?.roomBytes ?? 0;
  }

  give(message: Message): boolean {
    return this.#port?.give(message) ?? false;
  }

  close(): void {
    this.#port = null;
  }
}
