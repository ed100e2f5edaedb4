import type { PeerAccess } from '../../src/agent/membership.ts';
import type { Server } from '../../src/config/model.ts';
import { PeerListener } from '../../src/redundancy/peer-listener.ts';
import type { Log } from '../../src/world/log.ts';
import type { Transport } from '../../src/world/transport.ts';
import type { Life } from './life.ts';

/** How one run of a comm server reaches the other server, and is reached. */
export interface HostPeers {
  readonly access: PeerAccess;
  readonly start: () => void;
  /** Last of all: that nobody listens is how the other one sees that this one ended. */
  readonly stop: () => Promise<void>;
}

export function peerSide(options: {
  readonly transport: Transport;
  readonly life: Life;
  readonly server: Server;
  readonly log: Log;
}): HostPeers {
  const { transport, life, server, log } = options;
  const { peers: addresses } = server;
  const programVersion = 'simulated';
  const listener = new PeerListener({ addresses, programVersion, transport, clock: life.clock, log });
  const stop = new AbortController();
  let run: Promise<void> = Promise.resolve();
  return {
    access: { transport, add: (link) => listener.add(link) },
    start: () => {
      run = listener.run(stop.signal);
    },
    stop: () => {
      stop.abort();
      return run;
    },
  };
}
