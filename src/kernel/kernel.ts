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
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { SharedArchive } from '../world/shared-archive.ts';
import type { Disk } from '../world/store.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import { type Address, formatAddress, type Listener, type Transport } from '../world/transport.ts';
import { AgentDialler, type DialledStatus } from './agent-dialler.ts';
import { type KernelAlarm, type KernelFacts, kernelAlarms } from './alarms.ts';
import type { GroupStatus } from './group/group-status.ts';
import { openGroup } from './group/open-group.ts';
import { RoleNotes } from './group/shared/role-notes.ts';
import type { SharedGroup } from './group/shared/shared-group.ts';
import { type Served, SharedServers } from './group/shared/shared-servers.ts';
import type { SharedStatus } from './group/shared/shared-status.ts';
import type { KernelRole, Switchable } from './kernel-role.ts';
import type { LeaseStatus } from './lease-desk.ts';
import { lostHandlers } from './lost-handlers.ts';
import { LostValues } from './lost-values.ts';
import type { Presence, PresenceStatus, ProcessPresence } from './presence.ts';
import { KernelServer } from './server.ts';

/** What has come again is looked for at this pace. */
const LOST_MS = 5000;

export interface KernelOptions {
  readonly config: KernelConfig;
  readonly openArchive: () => Promise<Archive>;
  /** Needed where several Kernels share the archive; it is opened through this then. */
  readonly shared?: SharedArchive;
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
  readonly handlers: (
    archive: Archive,
    server: KernelServer,
    group: Switchable | null,
  ) => Readonly<Record<string, ControlHandler>>;
}

export interface KernelStatus {
  readonly version: string;
  readonly archiveError: string | null;
  /** `null`: no other Kernel has an archive of its own. */
  readonly group: GroupStatus | null;
  /** `null`: no other Kernel has the same archive. */
  readonly sharing: SharedStatus | null;
  readonly alarms: readonly KernelAlarm[];
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

/** Where connections and questions go. */
interface House {
  readonly current: Served;
  /** Only where Kernels share the archive. */
  readonly group?: SharedGroup;
}

type GroupStores = Awaited<ReturnType<typeof openGroup>>;

async function openStores(options: KernelOptions): Promise<GroupStores | null> {
  const { config, openGroupDisk } = options;
  const { redundancy } = config;
  if (redundancy === undefined) return null;
  invariant(openGroupDisk !== undefined, 'one of several Kernels has a disk for its forwarding ring');
  return await openGroup(await openGroupDisk(redundancy.ring.directory), redundancy, options);
}

/** What a Kernel is made over. */
interface Opened {
  /** `null`: several Kernels share it. */
  readonly archive: Archive | null;
  /** `null`: no other Kernel has an archive of its own. */
  readonly stores: GroupStores | null;
  readonly certificates: CertificateKeeper | null;
}

/** Certificates first: the Kernel dials others as soon as it is made. */
async function open(options: KernelOptions): Promise<Opened> {
  const certificates = await openCertificates(options);
  try {
    const isShared = options.config.sharing !== undefined;
    if (isShared) await options.shared?.prepare();
    const archive = isShared ? null : await options.openArchive();
    return { archive, stores: await openStores(options), certificates };
  } catch (error) {
    certificates?.close();
    throw error;
  }
}

/**
 * An agent goes on collecting without certificates; a Kernel would only seem to run.
 * @throws KomError KOM_TLS_…
 */
async function openCertificates(options: KernelOptions): Promise<CertificateKeeper | null> {
  const { config, tlsFiles: access } = options;
  if (config.tls === null) return null;
  invariant(access !== undefined, 'a Kernel with certificates has access to their files');
  const keeping = { files: config.tls, access, role: 'kernel', wanted: [] } as const;
  const keeper = await CertificateKeeper.open({ ...options, ...keeping });
  try {
    keeper.material();
  } catch (error) {
    keeper.close();
    throw error;
  }
  return keeper;
}

async function* call(handler: ControlHandler | undefined, params: Parameters<ControlHandler>[0]) {
  if (handler !== undefined) yield* handler(params);
}

/** Everything of a Kernel file but who the others are. */
function withoutOthers({ redundancy, ...rest }: KernelConfig) {
  return { ...rest, redundancy: { ...redundancy, kernels: [] } };
}

/** A running Kernel: the archive, the listener for agents, and the control socket. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #house: House;
  readonly #ring: GroupStores['ring'] | null;
  /** Longer than a server: one that is made for a new reign may find less than the one before had. */
  readonly #lostValues: LostValues;
  readonly #lostTimer: Timer;
  #listener: Listener | null = null;
  #control: Listener | null = null;
  /** `null`: no TLS. */
  readonly #certificates: CertificateKeeper | null;
  readonly #diallers: readonly AgentDialler[];
  readonly #dialStop = new AbortController();
  #dialRuns: readonly Promise<void>[] = [];

  private constructor(options: KernelOptions, { archive, stores, certificates }: Opened) {
    this.#options = options;
    this.#ring = stores?.ring ?? null;
    this.#lostValues = new LostValues(options);
    this.#lostTimer = options.clock.repeat('lost values', LOST_MS, () =>
      this.#lostValues.look(this.#archive),
    );
    this.#certificates = certificates;
    const secured = this.#secured;
    const { sharing } = options.config;
    if (archive !== null)
      this.#house = { current: { archive, server: this.#makeServer(archive, { stores }) } };
    else {
      const { shared } = options;
      invariant(shared !== undefined && sharing !== undefined, 'an archive is open, or shared');
      const { name } = sharing;
      const makeServer = (open: Archive, role: KernelRole) => this.#makeServer(open, { role });
      const { audit } = options;
      const notes = audit === undefined ? {} : { notes: new RoleNotes({ ...options, audit, name }) };
      this.#house = new SharedServers({ ...options, ...notes, name, shared, makeServer });
    }
    this.#diallers = options.config.agents.map(
      (agent) =>
        new AgentDialler({
          ...options,
          agent,
          ...(agent.insecure ? {} : secured),
          accept: (connection, dialled) => this.#server.accept(connection, dialled),
          isWanted: () => this.#server.takesSessions,
        }),
    );
  }

  /** @throws KomError KOM_ALREADY_RUNNING, KOM_LISTEN, KOM_ARCHIVE_UNAVAILABLE, KOM_TLS_… */
  static async start(options: KernelOptions): Promise<Kernel> {
    const kernel = new Kernel(options, await open(options));
    const { transport, config, clock, log } = options;
    try {
      kernel.#control = await serveControl({
        transport,
        path: config.controlSocket,
        handlers: { ...kernel.#handlers(), ...kernel.#placedHandlers() },
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
    // Not before agents can reach it.
    if (kernel.#house instanceof SharedServers) kernel.#house.start();
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
    const sharing = this.#house.group?.status ?? null;
    const archive = this.#archiveTrouble;
    return {
      version: this.#options.programVersion,
      archiveError: archive?.error ?? null,
      ...{ group, sharing },
      alarms: kernelAlarms({ archive, lost: this.#lostValues.status, group, sharing }),
      certificate: this.#certificates?.status ?? null,
      agents: this.#diallers.map(({ status }) => status),
      processes: this.#server.presence.all().map((presence) => this.#processStatus(presence)),
    };
  }

  get #archiveTrouble(): KernelFacts['archive'] {
    const { archiveTrouble } = this.#server;
    const { lastError } = this.#archive;
    return archiveTrouble ?? (lastError == null ? null : { error: lastError, forMs: null });
  }

  get #archive(): Archive {
    return this.#house.current.archive;
  }

  get #server(): KernelServer {
    return this.#house.current.server;
  }

  get #secured(): { readonly tls?: CertificateKeeper } {
    return this.#certificates === null ? {} : { tls: this.#certificates };
  }

  #makeServer(
    archive: Archive,
    { stores = null, role }: { readonly stores?: GroupStores | null; readonly role?: KernelRole },
  ): KernelServer {
    const { config, transport } = this.#options;
    const { redundancy: settings, accept } = config;
    if (role !== undefined) this.#lostValues.compare(archive);
    const isGroup = settings !== undefined && stores !== null;
    return new KernelServer({
      ...{ ...this.#options, archive, lostValues: this.#lostValues },
      ...(isGroup ? { group: { settings, ...stores, transport, ...this.#secured } } : {}),
      ...(role === undefined ? {} : { role }),
      ...(accept === undefined ? {} : { accept }),
    });
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
    if (config.sharing !== undefined) {
      throw new KomError('KOM_USAGE', 'Kernels that share a database find each other there', {
        hint: 'the file names no others',
      });
    }
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
    this.#lostTimer.cancel();
    await this.#listener?.close();
    this.#dialStop.abort();
    await Promise.all(this.#dialRuns);
    await this.#control?.close();
    if (this.#house instanceof SharedServers) return await this.#house.close();
    await this.#server.close();
    await this.#ring?.close();
    await this.#archive.close().catch((error: unknown) => {
      this.#options.log.error({ error: describeError(error) }, 'the archive did not close');
    });
  }

  /** Those that were given, each over the archive and the server of the moment. */
  #placedHandlers(): Readonly<Record<string, ControlHandler>> {
    const { handlers } = this.#options;
    const placed = new WeakMap<KernelServer, ReturnType<typeof handlers>>();
    const now = (): ReturnType<typeof handlers> => {
      const { archive, server } = this.#house.current;
      const group = this.#house.group ?? server.group;
      const made = placed.get(server) ?? handlers(archive, server, group);
      placed.set(server, made);
      return made;
    };
    const names = Object.keys(now());
    return Object.fromEntries(
      names.map((name): [string, ControlHandler] => [name, (params) => call(now()[name], params)]),
    );
  }

  #handlers(): Readonly<Record<string, ControlHandler>> {
    const status = (): KernelStatus => this.status;
    const presence = (): Presence => this.#server.presence;
    const reload = (): Promise<string[]> => this.reload();
    return {
      ...lostHandlers({ ...this.#options, lostValues: this.#lostValues }),
      'kernel-reload': async function* () {
        yield { kernels: await reload() };
      },
      status: async function* () {
        yield status();
      },
      live: async function* () {
        for (const process of presence().all()) {
          const { site } = process;
          for (const { value, ...rest } of process.values()) {
            yield { site, process: process.process, ...rest, value: valueToJson(value) };
          }
        }
      },
    };
  }
}
