import type { Dictionary } from '../domain/dictionary.ts';
import type { Live, LiveValue } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import type { DictionaryShelf } from './dictionary-shelf.ts';
import type { InstancePresence } from './presence.ts';

/** Values that wait at once, of one session, and what their texts may take together. */
const VALUES_MAX = 100_000;
const TEXT_BYTES_MAX = 4 * 1024 * 1024;

interface Waiting {
  readonly streamId: string;
  readonly values: Map<number, LiveValue>;
}

/**
 * The live lane of one session. Values may come before the dictionary that names them, as over a slow link:
 * the latest of each tag waits for it. An agent sends a value once, so one that is dropped would be missed
 * until it changes again.
 */
export class LiveLane {
  readonly #instance: Pick<InstancePresence, 'live'>;
  readonly #dictionaries: DictionaryShelf;
  readonly #clock: Clock;
  /** By stream and dictionary. */
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;
  #textBytes = 0;

  constructor(options: {
    readonly instance: Pick<InstancePresence, 'live'>;
    readonly dictionaries: DictionaryShelf;
    readonly clock: Clock;
  }) {
    this.#instance = options.instance;
    this.#dictionaries = options.dictionaries;
    this.#clock = options.clock;
  }

  /** Makes values the present ones, now or when they can be named. */
  async show(live: Live): Promise<void> {
    const dictionary = await this.#dictionaries.label(live.dictionaryHash);
    if (dictionary === undefined) this.#wait(live);
    else this.#instance.live(live, dictionary, this.#clock.wallUs());
  }

  /** A dictionary came. */
  named(hash: string, dictionary: Dictionary): void {
    for (const live of this.#take(hash)) this.#instance.live(live, dictionary, this.#clock.wallUs());
  }

  /** Keeps what there is room for. */
  #wait({ streamId, dictionaryHash, values }: Live): void {
    const key = `${dictionaryHash}/${streamId}`;
    const waiting = this.#waiting.get(key) ?? { streamId, values: new Map<number, LiveValue>() };
    this.#waiting.set(key, waiting);
    for (const value of values) {
      const before = waiting.values.get(value.tagIndex);
      if (before !== undefined && before.sequence >= value.sequence) continue;
      const textBytes = textBytesOf(value) - textBytesOf(before);
      const isNew = before === undefined ? 1 : 0;
      if (this.#count + isNew > VALUES_MAX || this.#textBytes + textBytes > TEXT_BYTES_MAX) continue;
      waiting.values.set(value.tagIndex, value);
      this.#count += isNew;
      this.#textBytes += textBytes;
    }
  }

  #take(dictionaryHash: string): Live[] {
    return [...this.#waiting].flatMap(([key, { streamId, values }]): Live[] => {
      if (!key.startsWith(`${dictionaryHash}/`)) return [];
      this.#waiting.delete(key);
      this.#count -= values.size;
      for (const value of values.values()) this.#textBytes -= textBytesOf(value);
      return [{ streamId, dictionaryHash, values: [...values.values()] }];
    });
  }
}

function textBytesOf(value: LiveValue | undefined): number {
  return typeof value?.value === 'string' ? Buffer.byteLength(value.value) : 0;
}
