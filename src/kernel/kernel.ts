import { isDeepStrictEqual } from 'node:util';
import type { KernelConfig } from '../config/model/kernel.ts';
import type { PassedMoment } from '../domain/clock-doubt.ts';
import { describeError, invariant, KomError } from '../domain/errors.ts';
import { valueToJson } from '../domain/sample.ts';
import type { Audit } from '../ops/audit.ts';
import { type ControlHandler, serveControl } from '../ops/control.ts';
import { CertificateKeeper, type CertificateStatus } from '../pki/keeper.ts';
import { RefusedConnections } from '../uplink/refused.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import {
  type Address,
  formatAddress,
  type Listener,
  type TlsMaterial,
  type Transport,
} from '../world/transport.ts';
import { AgentDialler, type DialledStatus } from './agent-dialler.ts';
import { type GroupAlarm, type GroupStatus, groupAlarms } from './group/group-status.ts';
import { openGroup } from './group/open-group.ts';
import type { LeaseStatus } from './lease-desk.ts';
import type { PresenceStatus, ProcessPresence } from './presence.ts';
import { KernelServer } from './server.ts';

export interface KernelOptions {
  readonly config: KernelConfig;
  readonly openArchive: () => Promise<Archive>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly programVersion: string;
  /** Needed where the Kernel has certificates. */
  readonly tlsFiles?: TlsFileAccess;
  /** What is known to have passed, against a wrong clock. */
  readonly passed?: readonly PassedMoment[];
  /** Where commands are written down. */
  readonly audit?: Audit;
  /** The disk of the forwarding ring; needed where there are several Kernels. */
  readonly openGroupDisk?: (directory: string) => Promise<Disk>;
  /** Reads the Kernel file anew, for `reload`. */
  readonly readConfig?: () => Promise<KernelConfig>;
  /** Further methods of the control socket, made over the open archive. */
  readonly handlers: (archive: Archive, server: KernelServer) => Readonly<Record<string, ControlHandler>>;
}

export interface KernelStatus {
  readonly version: string;
  readonly archiveError: string | null;
  /** `null`: it is the only Kernel. */
  readonly group: GroupStatus | null;
  readonly alarms: readonly GroupAlarm[];
  /** The own certificate; `null` without TLS. */
  readonly certificate: CertificateStatus | null;
  /** Agents that this Kernel dials. */
  readonly agents: readonly DialledStatus[];
  readonly processes: readonly {
    readonly site: string;
    readonly process: string;
    readonly isConnected: boolean;
    readonly silentMs: number;
    readonly uplinkState: string;
    readonly streams: readonly { readonly streamId: string; readonly producedTo: number }[];
    /** Each instance that was heard of. */
    readonly instances: readonly {
      readonly instance: number;
      readonly isConnected: boolean;
      readonly silentMs: number;
      readonly uplinkState: string;
    }[];
    /** Which instance is active; `null` where none ever asked for the lease. */
    readonly lease: LeaseStatus | null;
  }[];
}

type GroupStores = Awaited<ReturnType<typeof openGroup>>;

async function openStores(options: KernelOptions): Promise<GroupStores | null> {
  const { config, openGroupDisk } = options;
  const { redundancy } = config;
  if (redundancy === undefined) return null;
  invariant(openGroupDisk !== undefined, 'one of several Kernels has a disk for its forwarding ring');
  return await openGroup(await openGroupDisk(redundancy.ring.directory), redundancy, options);
}

/** Everything of a Kernel file but who the others are. */
function withoutOthers({ redundancy, ...rest }: KernelConfig) {
  return { ...rest, redundancy: { ...redundancy, kernels: [] } };
}

/** A running Kernel: the archive, the listener for agents, and the control socket. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #archive: Archive;
  readonly #server: KernelServer;
  readonly #ring: GroupStores['ring'] | null;
  #listener: Listener | null = null;
  #control: Listener | null = null;
  #certificates: CertificateKeeper | null = null;
  readonly #diallers: readonly AgentDialler[];
  readonly #dialStop = new AbortController();
  #dialRuns: readonly Promise<void>[] = [];

  private constructor(options: KernelOptions, archive: Archive, stores: GroupStores | null) {
    this.#options = options;
    this.#archive = archive;
    this.#ring = stores?.ring ?? null;
    const { redundancy: settings, tls } = options.config;
    const secured = tls === null ? {} : { tls: { material: () => this.#material() } };
    const { transport } = options;
    this.#server = new KernelServer({
      ...options,
      archive,
      ...(settings === undefined || stores === null
        ? {}
        : { group: { settings, ...stores, transport, ...secured } }),
      ...(options.config.accept === undefined ? {} : { accept: options.config.accept }),
    });
    this.#diallers = options.config.agents.map(
      (agent) =>
        new AgentDialler({
          ...options,
          agent,
          ...(options.config.tls === null || agent.insecure
            ? {}
            : { tls: { material: () => this.#material() } }),
          accept: (connection, dialled) => this.#server.accept(connection, dialled),
          isWanted: () => this.#server.group?.takesSessions ?? true,
        }),
    );
  }

  /** @throws KomError KOM_ALREADY_RUNNING, KOM_LISTEN, KOM_ARCHIVE_UNAVAILABLE, KOM_TLS_… */
  static async start(options: KernelOptions): Promise<Kernel> {
    const archive = await options.openArchive();
    const kernel = new Kernel(options, archive, await openStores(options));
    const { transport, config, clock, log, handlers } = options;
    try {
      await kernel.#openCertificates();
      kernel.#control = await serveControl({
        transport,
        path: config.controlSocket,
        handlers: { ...kernel.#handlers(), ...handlers(kernel.#archive, kernel.#server) },
        clock,
        log,
      });
      const tls = config.insecure ? null : kernel.#certificates;
      const refused = new RefusedConnections({ clock, log });
      kernel.#listener = await transport.listen(
        config.listen,
        (connection) => kernel.#server.accept(connection),
        { ...(tls === null ? {} : { tls }), refused: (refusal) => refused.take(refusal) },
      );
    } catch (error) {
      await kernel.stop();
      throw error;
    }
    kernel.#dialRuns = kernel.#diallers.map((dialler) => dialler.run(kernel.#dialStop.signal));
    log.info({ address: formatAddress(kernel.address) }, 'Kernel listens');
    return kernel;
  }

  /** Where agents reach it. */
  get address(): Address {
    return this.#listener?.address ?? this.#options.config.listen;
  }

  get status(): KernelStatus {
    const group = this.#server.group?.status ?? null;
    return {
      version: this.#options.programVersion,
      archiveError: this.#server.archiveError ?? this.#archive.lastError ?? null,
      group,
      alarms: group === null ? [] : groupAlarms(group),
      certificate: this.#certificates?.status ?? null,
      agents: this.#diallers.map(({ status }) => status),
      processes: this.#server.presence.all().map((presence) => this.#processStatus(presence)),
    };
  }

  #processStatus(presence: ProcessPresence): KernelStatus['processes'][number] {
    const { site, process, status } = presence;
    const shown = ({ isConnected, silentMs, uplinkState }: PresenceStatus) => ({
      ...{ isConnected, silentMs: Math.round(silentMs), uplinkState },
    });
    return {
      ...{ site, process, ...shown(status) },
      streams: status.streams.map(({ streamId, producedTo }) => ({ streamId, producedTo })),
      instances: presence.instances().map((each) => ({ instance: each.instance, ...shown(each.status) })),
      lease: this.#server.leases.status({ site, process }),
    };
  }

  /**
   * The other Kernels of the group are now those of the file. Returns their names.
   * @throws KomError KOM_USAGE where anything else in the file changed, or it leaves out who is hot
   */
  async reload(): Promise<string[]> {
    const { config, readConfig, log } = this.#options;
    const { group } = this.#server;
    if (group === null || readConfig === undefined)
      throw new KomError('KOM_USAGE', 'this Kernel is the only one');
    const next = await readConfig();
    if (next.redundancy === undefined || !isDeepStrictEqual(withoutOthers(next), withoutOthers(config))) {
      throw new KomError('KOM_USAGE', 'only redundancy.kernels is taken anew', {
        hint: 'something else in the file changed: restart the Kernel for it',
      });
    }
    group.reload(next.redundancy.kernels);
    const names = next.redundancy.kernels.map(({ name }) => name);
    log.info({ kernels: names }, 'the Kernel file was read anew');
    return names;
  }

  /** Finishes what is under way and closes the archive. */
  async stop(): Promise<void> {
    this.#certificates?.close();
    await this.#listener?.close();
    this.#dialStop.abort();
    await Promise.all(this.#dialRuns);
    await this.#control?.close();
    await this.#server.close();
    await this.#ring?.close();
    await this.#archive.close().catch((error: unknown) => {
      this.#options.log.error({ error: describeError(error) }, 'the archive did not close');
    });
  }

  async #openCertificates(): Promise<void> {
    const { config, tlsFiles: access } = this.#options;
    if (config.tls === null) return;
    invariant(access !== undefined, 'a Kernel with certificates has access to their files');
    const keeping = { files: config.tls, access, role: 'kernel', wanted: [] } as const;
    this.#certificates = await CertificateKeeper.open({ ...this.#options, ...keeping });
    // An agent goes on collecting without certificates; a Kernel would only seem to run.
    this.#material();
  }

  /** @throws KomError KOM_TLS_… */
  #material(): TlsMaterial {
    if (this.#certificates === null) throw new KomError('KOM_TLS_FILE', 'certificates are not open yet');
    return this.#certificates.material();
  }

  #handlers(): Readonly<Record<string, ControlHandler>> {
    const status = (): KernelStatus => this.status;
    const presence = this.#server.presence;
    const reload = (): Promise<string[]> => this.reload();
    return {
      'kernel-reload': async function* () {
        yield { kernels: await reload() };
      },
      status: async function* () {
        yield status();
      },
      live: async function* () {
        for (const process of presence.all()) {
          const { site } = process;
          for (const { value, ...rest } of process.values()) {
            yield { site, process: process.process, ...rest, value: valueToJson(value) };
          }
        }
      },
    };
  }
}
