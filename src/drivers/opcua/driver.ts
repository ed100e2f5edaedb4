import type { OpcuaLine } from '../../config/model.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Driver, Link } from '../driver.ts';
import { type OrphanKeeper, type OrphanSession, openSession } from './connect.ts';
import { loadOpcuaClient } from './library.ts';
import { openLink } from './link.ts';

/**
 * The driver of an OPC UA line: one endpoint, one session, one subscription per station. It only ever reads
 * and subscribes; no Write and no Call leaves it. See docs/OPCUA.md.
 */
export function createOpcuaDriver(line: OpcuaLine, world: { clock: Clock; log: Log }): Driver {
  return new OpcuaDriver(line, world.clock, world.log.child({ line: line.name, driver: 'opcua' }));
}

class OpcuaDriver implements Driver {
  readonly #line: OpcuaLine;
  readonly #clock: Clock;
  readonly #log: Log;
  /** At most one; it is tried once, when a connection is up. */
  #orphan: OrphanSession | undefined;

  constructor(line: OpcuaLine, clock: Clock, log: Log) {
    this.#line = line;
    this.#clock = clock;
    this.#log = log;
  }

  async connect(signal: AbortSignal): Promise<Link> {
    signal.throwIfAborted();
    const opcua = await loadOpcuaClient(this.#log);
    const context = { opcua, line: this.#line, clock: this.#clock, log: this.#log, signal };
    const orphans: OrphanKeeper = {
      take: () => {
        const orphan = this.#orphan;
        this.#orphan = undefined;
        return orphan;
      },
      keep: (orphan) => {
        this.#orphan = orphan;
      },
    };
    const open = await openSession(context, orphans);
    return openLink(context, open, orphans.keep);
  }
}
