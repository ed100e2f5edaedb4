import { connect } from 'node:net';
import type { Address } from '../../../src/world/transport.ts';

export interface Talk {
  /** As the other side names this one in its log. */
  readonly local: string;
  /** Everything that came back. */
  readonly received: Buffer;
  /** From the last byte said to the end of the connection, milliseconds. */
  readonly tookMs: number;
}

const PATIENCE_MS = 20_000;

/** Says something on a plain TCP connection, never ends it, and waits for the other side to do so. */
export function talk(address: Address, bytes: Uint8Array): Promise<Talk> {
  return new Promise((resolve) => {
    // A connection that is left open shows by its time.
    const patience = setTimeout(() => socket.destroy(), PATIENCE_MS);
    const socket = connect({ ...address, allowHalfOpen: true });
    const received: Buffer[] = [];
    let local = '';
    let saidMs = 0;
    socket.on('connect', () => {
      local = `${socket.localAddress}:${socket.localPort}`;
      saidMs = performance.now();
      if (bytes.length > 0) socket.write(bytes);
    });
    // A socket that has read its end hears of a reset only when it writes.
    let probe: NodeJS.Timeout | undefined;
    socket.on('end', () => {
      probe = setInterval(() => socket.write('?'), 100);
    });
    socket.on('data', (chunk) => received.push(chunk));
    // Being cut off is what these connections are for.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(patience);
      clearInterval(probe);
      resolve({ local, received: Buffer.concat(received), tookMs: performance.now() - saidMs });
    });
  });
}
