import { KomError } from '../domain/errors.ts';
import { counterOf } from '../domain/term.ts';
import {
  checkedCounter,
  GAPS_BURST_MAX,
  GAPS_PER_S_MAX,
  NEW_DICTIONARIES_PER_PROCESS_MAX,
  NEW_DICTIONARIES_PER_SESSION_MAX,
  NEW_DICTIONARY_BYTES_PER_PROCESS_MAX,
  NEW_DICTIONARY_BYTES_PER_SESSION_MAX,
  PROCESSES_MAX,
  STREAMS_PER_PROCESS_MAX,
} from '../uplink/limits.ts';
import type { Hello, StreamState } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';

/** What one process has brought since the Kernel started. */
interface Brought {
  readonly streamIds: Set<string>;
  /** Counter of the highest term that an agent of it claimed to have seen. */
  activations: number;
  dictionaries: number;
  dictionaryBytes: number;
}

/** What of a Hello is counted. */
type GreetingAgent = Pick<Hello, 'site' | 'process' | 'highestTerm'> & {
  readonly streams: readonly Pick<StreamState, 'streamId'>[];
};

/** What the processes that this Kernel hears of bring, see uplink/limits.ts. */
export class ProcessQuotas {
  readonly #brought = new Map<string, Brought>();

  /** A Hello. @throws KomError KOM_LIMIT_EXCEEDED */
  greet({ site, process, streams, highestTerm }: GreetingAgent): void {
    const brought = this.#of(site, process);
    const activations = checkedCounter(
      `term of ${site}/${process}`,
      counterOf(highestTerm),
      brought.activations,
    );
    const fresh = streams.map(({ streamId }) => streamId).filter((id) => !brought.streamIds.has(id));
    if (brought.streamIds.size + fresh.length > STREAMS_PER_PROCESS_MAX) {
      throw exceeded(`${site}/${process} names more than ${STREAMS_PER_PROCESS_MAX} streams`);
    }
    for (const streamId of fresh) brought.streamIds.add(streamId);
    brought.activations = Math.max(brought.activations, activations);
  }

  /** A session of a process, to count what it brings. */
  session(site: string, process: string): SessionQuota {
    return new SessionQuota(this.#of(site, process));
  }

  #of(site: string, process: string): Brought {
    const key = `${site}\n${process}`;
    const known = this.#brought.get(key);
    if (known !== undefined) return known;
    if (this.#brought.size >= PROCESSES_MAX) throw exceeded(`more than ${PROCESSES_MAX} processes`);
    const brought = { streamIds: new Set<string>(), activations: 0, dictionaries: 0, dictionaryBytes: 0 };
    this.#brought.set(key, brought);
    return brought;
  }
}

/** What one session has brought. */
export class SessionQuota {
  readonly #process: Brought;
  #dictionaries = 0;
  #dictionaryBytes = 0;

  constructor(process: Brought) {
    this.#process = process;
  }

  /** A dictionary that the archive does not have. @throws KomError KOM_LIMIT_EXCEEDED */
  newDictionary(bytes: number): void {
    this.#dictionaries += 1;
    this.#dictionaryBytes += bytes;
    if (
      this.#dictionaries > NEW_DICTIONARIES_PER_SESSION_MAX ||
      this.#dictionaryBytes > NEW_DICTIONARY_BYTES_PER_SESSION_MAX
    ) {
      throw exceeded('too many new dictionaries in one session');
    }
    this.#process.dictionaries += 1;
    this.#process.dictionaryBytes += bytes;
    if (
      this.#process.dictionaries > NEW_DICTIONARIES_PER_PROCESS_MAX ||
      this.#process.dictionaryBytes > NEW_DICTIONARY_BYTES_PER_PROCESS_MAX
    ) {
      throw exceeded('too many new dictionaries of one process');
    }
  }
}

/** Gap records of one session: a burst, then a steady pace. Who is faster is not read meanwhile. */
export class GapPace {
  readonly #clock: Clock;
  #left = GAPS_BURST_MAX;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** Resolves when one more may be taken. */
  async one(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const grown = this.#left + ((nowMs - this.#atMs) / 1000) * GAPS_PER_S_MAX;
    this.#left = Math.min(GAPS_BURST_MAX, grown) - 1;
    this.#atMs = nowMs;
    if (this.#left < 0) await this.#clock.sleep((-this.#left / GAPS_PER_S_MAX) * 1000);
  }
}

function exceeded(what: string): KomError {
  return new KomError('KOM_LIMIT_EXCEEDED', what);
}
