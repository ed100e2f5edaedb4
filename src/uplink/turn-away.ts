import type { KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Connection } from '../world/transport.ts';
import { Channel } from './channel.ts';

/** A goodbye has so long to leave. */
const LINGER_MS = 500;

/** Tells the other side why it is not let in, and ends the connection. */
export function turnAway(connection: Connection, error: KomError, clock: Clock): void {
  const channel = new Channel(connection, clock);
  channel.bye('forbidden', error.message);
  clock.schedule('linger', LINGER_MS, () => channel.destroy());
}
