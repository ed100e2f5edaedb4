import { backoffDelaysMs } from '../domain/backoff.ts';
import { describeError, isKomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { ConnectOptions, Driver, Link, LinkBatch } from './driver.ts';

/** A connection that lasted this long resets the reconnect delay. */
const STABLE_MS = 10_000;

/** What the supervisor tells; called synchronously, must not wait. */
export interface LineListener {
  connected(link: Link): void;
  batch(batch: LinkBatch): void;
  /** The whole line cannot be reached. Told once for each loss. */
  lost(reason: string): void;
}

export interface SupervisedLine {
  readonly name: string;
  readonly driver: Driver;
  /** How the line is to be opened, as of each attempt. */
  readonly connectOptions?: () => ConnectOptions;
  readonly reconnectDelayMinMs: number;
  readonly reconnectDelayMaxMs: number;
  readonly listener: LineListener;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Keeps one line connected until the signal. It is the only owner of reconnecting: a driver that lost its
 * device is disposed first and then connected anew, so no session is ever left behind.
 */
export async function superviseLine(line: SupervisedLine, signal: AbortSignal): Promise<void> {
  const newDelays = (): Iterator<number, never> =>
    backoffDelaysMs({
      delayMinMs: line.reconnectDelayMinMs,
      delayMaxMs: line.reconnectDelayMaxMs,
      fraction: () => line.random.fraction(),
    });
  let delays = newDelays();
  let lastReason: string | null = null;
  while (!signal.aborted) {
    const startedMs = line.clock.monotonicMs();
    const reason = await connectOnce(line, signal);
    if (signal.aborted) return;
    const isNews = reason !== lastReason;
    lastReason = reason;
    if (isNews) line.log.warn({ line: line.name, error: reason }, 'line lost');
    line.listener.lost(reason);
    if (line.clock.monotonicMs() - startedMs >= STABLE_MS) delays = newDelays();
    await line.clock.sleep(delays.next().value, signal).catch(() => undefined);
  }
}

/** One connection from its beginning to its end; returns why it ended. */
async function connectOnce(line: SupervisedLine, signal: AbortSignal): Promise<string> {
  const bugs: unknown[] = [];
  try {
    await using link = await line.driver.connect(signal, line.connectOptions?.());
    line.log.info({ line: line.name }, 'line connected');
    if (signal.aborted) return 'stopped';
    line.listener.connected(link);
    for await (const batch of link) {
      if (signal.aborted) return 'stopped';
      try {
        line.listener.batch(batch);
      } catch (error) {
        bugs.push(error);
        throw error;
      }
    }
    return 'the link ended';
  } catch (error) {
    // What breaks behind the driver is ours: the values count as taken over, so going on would lose them.
    if (bugs.length > 0) throw error;
    // What a field device provokes in a protocol library has no list. It must cost this line a reconnect and
    // the others nothing, so it is logged with its stack instead of ending the process.
    if (!isKomError(error) && !signal.aborted) {
      line.log.error(
        { line: line.name, error: describeError(error), stack: stackOf(error) },
        'driver failed',
      );
    }
    return describeError(error);
  }
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
