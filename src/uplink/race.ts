import type { Clock } from '../world/clock.ts';
import type { Connection } from '../world/transport.ts';
import type { AddressChoice } from './address-choice.ts';

/** With nothing to dial at all. */
const IDLE_MS = 60_000;
/** The next address is tried when the one before it has not answered for this long (RFC 8305, section 5). */
const STAGGER_MS = 300;

export interface FirstConnection {
  readonly index: number;
  readonly connection: Connection;
}

export interface RaceOptions {
  /** Addresses to try, by number, preferred first. */
  readonly due: readonly number[];
  readonly connect: (index: number, signal: AbortSignal) => Promise<Connection>;
  /** Told of each try that failed. @throws what is no operating error */
  readonly failed: (index: number, error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The first of several addresses that takes a connection; each has a head start before the next, so an
 * address that does not answer costs 300 ms and not its whole timeout. `null`: none of them does.
 */
export async function firstConnection(options: RaceOptions): Promise<FirstConnection | null> {
  const { due, connect, failed, clock, signal } = options;
  const cancel = new AbortController();
  const abort = (): void => cancel.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const won = Promise.withResolvers<{ index: number; connection: Connection } | null>();
  const gaveUp = due.map(() => Promise.withResolvers<void>());
  let left = due.length;
  const attempt = async (index: number, place: number): Promise<void> => {
    try {
      const before = gaveUp[place - 1]?.promise ?? Promise.resolve();
      await Promise.race([before, clock.sleep(place * STAGGER_MS, cancel.signal)]);
      cancel.signal.throwIfAborted();
      const connection = await connect(index, cancel.signal);
      if (cancel.signal.aborted) connection.destroy();
      else won.resolve({ index, connection });
      cancel.abort();
    } catch (error) {
      if (!cancel.signal.aborted) failed(index, error);
    } finally {
      gaveUp[place]?.resolve();
      left -= 1;
      if (left === 0) won.resolve(null);
    }
  };
  try {
    for (const [place, index] of due.entries()) attempt(index, place).catch(won.reject);
    return await won.promise;
  } finally {
    signal.removeEventListener('abort', abort);
    cancel.abort();
  }
}

/** A connection with the best address that takes one, however long that needs. @throws the signal's reason */
export async function nextConnection(
  choice: AddressChoice,
  options: Omit<RaceOptions, 'due'>,
): Promise<FirstConnection> {
  const { clock, signal } = options;
  while (true) {
    signal.throwIfAborted();
    const nowMs = clock.monotonicMs();
    const due = choice.due(nowMs);
    if (due.length === 0) await clock.sleep(Math.min(IDLE_MS, choice.dueInMs(nowMs)), signal);
    else {
      const first = await firstConnection({ ...options, due });
      if (first !== null) return first;
    }
  }
}
