import { join } from 'node:path';
import type { Process, Server, Site } from '../config/model.ts';
import type { PassedMoment } from '../domain/clock-doubt.ts';
import { invariant } from '../domain/errors.ts';
import { createDriver } from '../drivers/create.ts';
import type { Alarm } from '../ops/alarms.ts';
import { type ControlHandler, serveControl } from '../ops/control.ts';
import { CertificateKeeper, type CertificateStatus } from '../pki/keeper.ts';
import { PeerListener } from '../redundancy/peer-listener.ts';
import { kernelsOnly } from '../uplink/kernel-certificate.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import type { Listener, Transport } from '../world/transport.ts';
import { AgentAlarms } from './agent-alarms.ts';
import { bufferHandlers } from './buffer-handlers.ts';
import { commandHandlers } from './command-handlers.ts';
import { Instance, type InstanceOptions, type InstanceStatus } from './instance.ts';
import { isLinked, type MirrorDisks } from './membership.ts';
import {
  type Asker,
  type NamedPlaces,
  reloadHandlers,
  SiteReload,
  type SiteReloadOptions,
} from './site-reload.ts';

const DAY_MS = 86_400_000;
/** A rate over less than this says nothing about a day. */
const FLASH_RATE_MIN_MS = 60_000;

export interface AgentOptions {
  readonly site: Site;
  readonly server: Server;
  /** The processes to run: all of the server, or one of them. */
  readonly processes: readonly Process[];
  /** Opens the place of an instance's ring. */
  readonly openDisk: (directory: string) => Promise<Disk>;
  /** Something is there already. */
  readonly exists: (directory: string) => boolean;
  readonly readPlaces?: NonNullable<SiteReloadOptions['readPlaces']>;
  /** Opens each ring; the real one if not given. */
  readonly openRing?: NonNullable<InstanceOptions['openRing']>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bootId: string;
  readonly programVersion: string;
  /** Bytes that this process made the disks write; `null` where nobody counts them. */
  readonly flashBytes?: () => number | null;
  /** Needed where the server has certificates. */
  readonly tlsFiles?: TlsFileAccess;
  /** What is known to have passed, against a wrong clock. */
  readonly passed?: readonly PassedMoment[];
}

export interface AgentStatus {
  readonly site: string;
  readonly server: string;
  readonly version: string;
  readonly instances: readonly InstanceStatus[];
  readonly flash: FlashStatus;
  /** The own certificate; `null` without TLS. */
  readonly certificate: CertificateStatus | null;
  /** What somebody should know of now, by the time at which it was raised, */
  readonly alarms: readonly Alarm[];
  /** and the last ones that are over, oldest first. */
  readonly pastAlarms: readonly Alarm[];
}

/** Wear of the flash by this process, logs and whatever else it writes included. */
export interface FlashStatus {
  readonly runMs: number;
  /** Since the start; `null` where the system does not count. */
  readonly writtenBytes: number | null;
  /** At the present average; `null` in the first minute. */
  readonly bytesPerDay: number | null;
  /** Bytes written for each byte that the rings wanted stored; `null` before the first. */
  readonly writeAmplification: number | null;
}

/** All instances of one comm server in one operating-system process, with one control socket. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #instances: Instance[] = [];
  readonly #startedMs: number;
  readonly #alarms: AgentAlarms;
  readonly #started = Promise.withResolvers<void>();
  readonly #reload: SiteReload;
  #peers: PeerListener | null = null;
  readonly #peerStop = new AbortController();
  #peerRun: Promise<void> = Promise.resolve();
  #control: Listener | null = null;
  #certificates: CertificateKeeper | null = null;

  private constructor(options: AgentOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#alarms = new AgentAlarms({
      ...options,
      instances: () => this.#instances.map((instance) => instance.status),
      certificate: () => this.#certificates?.status ?? null,
    });
    this.#reload = new SiteReload({
      ...options,
      instances: () => this.#instances,
      started: this.#started.promise,
      lookAtCertificates: async () => await this.#certificates?.look(),
    });
  }

  /** @throws KomError KOM_ALREADY_RUNNING, KOM_STORE_LOCKED when another process does this job */
  static async start(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    const { transport, clock, log, server } = options;
    agent.#control = await serveControl({
      transport,
      path: server.controlSocket,
      handlers: agent.#handlers(),
      clock,
      log,
    });
    try {
      await agent.#openCertificates();
      agent.#peers = agent.#makePeerListener();
      for (const process of options.processes) agent.#instances.push(await agent.#startInstance(process));
      // Closed last: that nobody listens is how the other server sees that this one ended.
      agent.#peerRun = agent.#peers.run(agent.#peerStop.signal);
      agent.#alarms.start();
      agent.#started.resolve();
    } catch (error) {
      await agent.stop();
      throw error;
    }
    return agent;
  }

  get status(): AgentStatus {
    const { site, server, programVersion } = this.#options;
    return {
      site: site.name,
      server: server.name,
      version: programVersion,
      instances: this.#instances.map((instance) => instance.status),
      flash: this.#flash(),
      certificate: this.#certificates?.status ?? null,
      alarms: this.#alarms.standing,
      pastAlarms: this.#alarms.past,
    };
  }

  /**
   * Reads the site file anew and follows what it says of the Kernels.
   * @throws KomError that says why nothing of it is taken over
   */
  reload(asker: Asker): Promise<NamedPlaces> {
    return this.#reload.take(asker);
  }

  /** Clean stop of every instance. */
  async stop(): Promise<void> {
    this.#alarms.stop();
    await Promise.all(this.#instances.map((instance) => instance.stop()));
    this.#peerStop.abort();
    await this.#peerRun;
    this.#certificates?.close();
    await this.#control?.close();
  }

  /** Without usable certificates there is no uplink, but everything is collected and kept. */
  async #openCertificates(): Promise<void> {
    const { server, site, processes, tlsFiles: access } = this.#options;
    if (server.tls === null) return;
    invariant(access !== undefined, 'a server with certificates has access to their files');
    const wanted = processes.map(({ name: process }) => {
      return { role: 'agent', site: site.name, process, instance: server.instance } as const;
    });
    this.#certificates = await CertificateKeeper.open({
      ...this.#options,
      ...{ files: server.tls, access, role: 'agent', wanted },
    });
  }

  /** Where the other server reaches this one; listens nowhere where the site file names no address. */
  #makePeerListener(): PeerListener {
    const { server, log } = this.#options;
    const tls = this.#certificates;
    return new PeerListener({
      ...this.#options,
      ...(tls === null ? {} : { tls }),
      ...{ addresses: server.peers, log: log.child({ server: server.name }) },
    });
  }

  async #startInstance(process: Process): Promise<Instance> {
    const { server, openDisk, exists, log, clock } = this.#options;
    const processLog = log.child({ process: process.name, instance: server.instance });
    const directory = join(server.dataDirectory, process.name);
    const alarmDirectory = `${directory}.alarm`;
    const hasAlarms = process.buffer.alarmShare > 0 || exists(alarmDirectory);
    const tls = this.#certificates;
    const mirrorDisks = await this.#openMirrorDisks(process, directory);
    return await Instance.start({
      ...this.#options,
      ...(tls === null ? {} : { tls }),
      transport: kernelsOnly(this.#options.transport, {
        site: this.#options.site.name,
        clock,
        log: processLog,
      }),
      peers: { transport: this.#options.transport, add: (link) => this.#peers?.add(link) },
      ...(mirrorDisks === null ? {} : { mirrorDisks }),
      process,
      disk: await openDisk(directory),
      alarmDisk: hasAlarms ? await openDisk(alarmDirectory) : null,
      log: processLog,
      createDriver: (line, lineClock) => createDriver(line, { clock: lineClock, log: processLog }),
    });
  }

  /** `null`: neither instance holds the backlog of the other one. */
  async #openMirrorDisks(process: Process, directory: string): Promise<MirrorDisks | null> {
    const { openDisk } = this.#options;
    if (!process.redundancy.isMirrored || !isLinked({ ...this.#options, process })) return null;
    const main = await openDisk(`${directory}.mirror`);
    return {
      main,
      alarms: process.buffer.alarmShare > 0 ? await openDisk(`${directory}.mirror.alarm`) : null,
    };
  }

  #flash(): FlashStatus {
    const { clock, flashBytes } = this.#options;
    const runMs = clock.monotonicMs() - this.#startedMs;
    const writtenBytes = flashBytes?.() ?? null;
    const stores = this.#instances.flatMap((instance) => instance.namedStores);
    const wantedBytes = stores.reduce((sum, { store }) => sum + store.ring.stat().writtenBytes, 0);
    if (writtenBytes === null) return { runMs, writtenBytes, bytesPerDay: null, writeAmplification: null };
    return {
      runMs,
      writtenBytes,
      bytesPerDay: runMs < FLASH_RATE_MIN_MS ? null : (writtenBytes / runMs) * DAY_MS,
      writeAmplification: wantedBytes === 0 ? null : writtenBytes / wantedBytes,
    };
  }

  #handlers(): Readonly<Record<string, ControlHandler>> {
    const status = (): AgentStatus => this.status;
    return {
      status: async function* () {
        yield status();
      },
      ...reloadHandlers(this.#reload),
      ...bufferHandlers(() => this.#instances.flatMap((instance) => instance.namedStores)),
      ...commandHandlers({
        ...this.#options,
        instances: () => this.#instances.map((instance) => ({ process: instance.process, instance })),
      }),
    };
  }
}
