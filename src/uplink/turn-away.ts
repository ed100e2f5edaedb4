import type { KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Connection } from '../world/transport.ts';
import { Channel } from './channel.ts';

/** Tells the other side why it is not let in, and ends the connection. */
export function turnAway(connection: Connection, error: KomError, clock: Clock): void {
  new Channel(connection, clock).bye('forbidden', error.message);
}
