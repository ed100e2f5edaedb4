import { ClassStore } from '../../src/agent/class-store.ts';
import type { BufferSettings } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import type { Log } from '../../src/world/log.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Connection, Transport } from '../../src/world/transport.ts';

export const KERNEL = { host: 'kernel', port: 3119 } as const;

/** One direction of a recorded connection. */
export interface Recorded {
  readonly from: 'agent' | 'kernel';
  readonly chunks: Uint8Array[];
}

/** The world of one fuzz run: a network on virtual time, a log that is read for bugs. */
export class Stage {
  readonly random: ReturnType<typeof createSimulatedRandom>;
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  readonly archive = new SimulatedArchive();
  /** What no peer may bring about. */
  readonly bugs: string[] = [];

  constructor(seed: number) {
    this.random = createSimulatedRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random });
  }

  /** A log in which only bugs are looked for. */
  get log(): Log {
    const log: Log = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (fields, message) => {
        if (message === 'a connection failed') this.bugs.push(`${message}: ${JSON.stringify(fields)}`);
      },
      child: () => log,
    };
    return log;
  }

  async kernel(): Promise<KernelServer> {
    const { archive, clock, random, log } = this;
    const server = new KernelServer({ archive, programVersion: 'fuzz', clock, random, log });
    await this.network.host(KERNEL.host).listen(KERNEL, (connection) => server.accept(connection));
    return server;
  }

  /** An agent of one process that numbers two samples a second while time goes on. */
  async agent(process: string, transport: Transport = this.network.host(process)): Promise<FuzzAgent> {
    const { clock, random, log } = this;
    const store = await ClassStore.open({
      disk: new SimulatedDisk(clock, random),
      buffer: BUFFER,
      share: 1,
      dictionary: dictionaryOf(process),
      tagIndexes: [0, 1, 2],
      ...{ clock, random, log },
      bootId: 'b'.repeat(32),
      overloadEnded: () => {},
    });
    return new FuzzAgent(this, { process, store, transport });
  }
}

/** An agent without devices: what it sends is made here. */
export class FuzzAgent {
  readonly store: ClassStore;
  /** Connections that it opened. */
  opened = 0;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #timer: { cancel(): void };

  constructor(
    stage: Stage,
    { process, store, transport }: { process: string; store: ClassStore; transport: Transport },
  ) {
    const { clock, random, log } = stage;
    this.store = store;
    const connect: Transport['connect'] = (address, options) => {
      this.opened += 1;
      return transport.connect(address, options);
    };
    const uplink = new Uplink({
      kernels: [{ ...KERNEL, insecure: true, localAddresses: {} }],
      server: 'Server1',
      identity: { programVersion: 'fuzz', site: 'S', process, instance: 1, siteHash: 'a'.repeat(32) },
      settings: SETTINGS,
      sources: [store.source],
      transport: { ...transport, connect },
      ...{ clock, random, log },
    });
    this.#running = uplink.run(this.#stop.signal).catch((error: unknown) => {
      stage.bugs.push(`the uplink ended: ${error instanceof Error ? error.stack : String(error)}`);
    });
    let count = 0;
    this.#timer = clock.repeat('plant', 500, () => {
      count += 1;
      const common = { sourceTimeUs: clock.wallUs(), quality: 0, cause: 'change' } as const;
      store.accept([
        { tagIndex: 0, value: BigInt(count), ...common },
        { tagIndex: 1, value: count / 3, ...common },
        { tagIndex: 2, value: `number ${count}`, ...common },
        {
          station: 'P',
          tags: [],
          fromUs: common.sourceTimeUs,
          toUs: common.sourceTimeUs + 1,
          reason: 'overload',
        },
      ]);
    });
  }

  async stop(clock: SimulatedClock): Promise<void> {
    this.#timer.cancel();
    this.#stop.abort();
    await clock.runUntil(this.#running, 60_000);
  }
}

/** A transport that keeps what goes over its connections. */
export function recording(transport: Transport, records: Recorded[]): Transport {
  const connect: Transport['connect'] = async (address, options) => {
    const inner = await transport.connect(address, options);
    const sent: Recorded = { from: 'agent', chunks: [] };
    const heard: Recorded = { from: 'kernel', chunks: [] };
    records.push(sent, heard);
    const connection: Connection = {
      remote: inner.remote,
      peerCertificate: inner.peerCertificate,
      get queuedBytes() {
        return inner.queuedBytes;
      },
      send: (bytes) => {
        sent.chunks.push(bytes);
        return inner.send(bytes);
      },
      close: () => inner.close(),
      destroy: () => inner.destroy(),
      async *[Symbol.asyncIterator]() {
        for await (const bytes of inner) {
          heard.chunks.push(bytes);
          yield bytes;
        }
      },
    };
    return connection;
  };
  return { ...transport, connect };
}

function dictionaryOf(process: string): Dictionary {
  const tag = { station: 'P', class: 'measurement', unit: '', formerly: [] } as const;
  const types = ['int64', 'float64', 'text'] as const;
  return { site: 'S', process, tags: types.map((type) => ({ ...tag, name: `P.${type}`, type })) };
}

const BUFFER: BufferSettings = {
  ...{ store: 'on-outage', capacityBytes: 64_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
  ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
  ...{ aliveMarkMs: 5000, windowBytes: 1_000_000 },
};

const SETTINGS = {
  ...WIRED,
  ...{ heartbeatMs: 250, silenceMaxMs: 1500, connectTimeoutMs: 2000, liveIntervalMs: 500 },
  ...{ reconnectDelayMaxMs: 2000, holdMaxMs: 2000 },
};
