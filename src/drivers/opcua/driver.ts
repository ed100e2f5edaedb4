import type { OpcuaLine } from '../../config/model.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { ConnectOptions, Driver, Link } from '../driver.ts';
import { closeSession, type OrphanKeeper, type OrphanSession, openSession } from './connect.ts';
import { loadOpcuaClient } from './library.ts';
import { openLink } from './link.ts';
import { readServerFacts, touchSession } from './node-ids.ts';

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

  async connect(signal: AbortSignal, options: ConnectOptions = {}): Promise<Link> {
    signal.throwIfAborted();
    const { role = 'active', failoverMs } = options;
    const kept = failoverMs === undefined ? {} : { failoverMs };
    const context = { ...(await this.#context(signal)), role, ...kept };
    const orphans = this.#orphans();
    const open = await openSession(context, orphans);
    return openLink(context, open, orphans.keep);
  }

  /** A session with the user and certificates of the line, in which one tag is read. */
  async prove(signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const context = { ...(await this.#context(signal)), role: 'standby' as const };
    const open = await openSession(context, { take: () => undefined, keep: () => undefined });
    try {
      const [tag] = this.#line.stations.flatMap(({ mode, tags }) => (mode === 'on' ? tags : []));
      const { resolver } = await readServerFacts(context.opcua, open.session);
      const nodeId = tag === undefined ? undefined : resolver.resolve(tag.nodeId);
      if (nodeId === undefined) await touchSession(context.opcua, open.session);
      else await open.session.read({ nodeId, attributeId: context.opcua.AttributeIds.Value });
      return true;
    } finally {
      await closeSession(context, open, true);
    }
  }

  async #context(signal: AbortSignal) {
    const opcua = await loadOpcuaClient(this.#log);
    return { opcua, line: this.#line, clock: this.#clock, log: this.#log, signal };
  }

  #orphans(): OrphanKeeper {
    return {
      take: () => {
        const orphan = this.#orphan;
        this.#orphan = undefined;
        return orphan;
      },
      keep: (orphan) => {
        this.#orphan = orphan;
      },
    };
  }
}
