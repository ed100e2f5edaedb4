import type { Coverage } from '../domain/coverage.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { KomError } from '../domain/errors.ts';
import { Admission } from '../uplink/admission.ts';
import { Channel } from '../uplink/channel.ts';
import { EndedConnections } from '../uplink/ended.ts';
import { agreedProtocol, checkIdentity, helloOf } from '../uplink/hello.ts';
import { HELLO_TIMEOUT_MS, WELCOME_RANGES_MAX } from '../uplink/limits.ts';
import { type Hello, type Message, PROTOCOL_WITH_ACTIVATION, type Welcome } from '../uplink/messages.ts';
import { agreedPace } from '../uplink/silence.ts';
import { mintId } from '../world/random.ts';
import type { Connection } from '../world/transport.ts';
import { type AgentSession, endReplaced } from './agent-session.ts';
import { type ArchiveRefusal, type ArchiveTrouble, troubleOf } from './archive-refusal.ts';
import { settledCoverage } from './chain.ts';
import { certificateFields, checkClaim } from './claim.ts';
import { CommandDesk } from './commands.ts';
import { ControlLane } from './control-lane.ts';
import { DataLane } from './data-lane.ts';
import { DictionaryShelf } from './dictionary-shelf.ts';
import { KernelEpoch } from './epoch.ts';
import { KernelGroup } from './group/group.ts';
import type { GroupPlace } from './group/group-options.ts';
import { checkedKernel } from './group/kernel-link.ts';
import { sharedTerms } from './group/shared-terms.ts';
import { comes } from './group/wait-for.ts';
import { Ingest } from './ingest.ts';
import type { KernelRole } from './kernel-role.ts';
import { LaneGate } from './lane-gate.ts';
import { LaneWatch } from './lane-watch.ts';
import { LeaseDesk, type Seat } from './lease-desk.ts';
import { LiveLane } from './live-lane.ts';
import { endWhenLost, whichNotesLost } from './lost-archive.ts';
import { LostStores } from './lost-stores.ts';
import { LostValues } from './lost-values.ts';
import { MirrorDesk } from './mirror-desk.ts';
import { ObservedStore } from './observed-store.ts';
import { Presence } from './presence.ts';
import { ProcessQuotas } from './quotas.ts';
import { register } from './registration.ts';
import type { DialledConnection, KernelServerOptions } from './server-options.ts';
import { isNamedByOther } from './stream-owners.ts';
import { type CoveredStream, toldCoverage } from './told-coverage.ts';

/** So long the data lane of an agent that stops may go on. */
const FAREWELL_MAX_MS = 5000;

/** The receiving end of the uplink. `accept` takes each connection of the listener. */
export class KernelServer {
  readonly #options: KernelServerOptions;
  readonly #ingest: Ingest;
  readonly #dictionaries: DictionaryShelf;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #channels = new Set<Channel>();
  /** Those on which an agent only hears who is hot, or has asked: it leaves them when it wants. */
  readonly #listeners = new WeakSet<Channel>();
  readonly #ended: EndedConnections;
  readonly #dialled = new WeakMap<Channel, DialledConnection>();
  readonly presence: Presence;
  readonly commands: CommandDesk;
  readonly leases: LeaseDesk;
  readonly #admission = new Admission();
  readonly #quotas = new ProcessQuotas();
  readonly #mirrors: MirrorDesk;
  readonly #lost: LostStores;
  readonly #epoch: KernelEpoch;
  readonly #observed: ObservedStore;
  readonly #gate = new LaneGate();
  #epochRefused: ArchiveRefusal | null = null;
  readonly #lostValues: LostValues;
  /** `null`: no other Kernel has an archive of its own. */
  readonly group: KernelGroup | null;
  /** `null`: this Kernel is the only one. */
  readonly #role: KernelRole | null;
  readonly #stop = new AbortController();
  readonly #groupRun: Promise<void>;

  constructor(options: KernelServerOptions) {
    this.#options = options;
    this.#ended = new EndedConnections({ ...options, what: 'connection' });
    this.#lostValues = options.lostValues ?? new LostValues(options);
    const { archive } = options;
    const lostValues = this.#lostValues;
    const watcher = whichNotesLost(archive, lostValues, {
      record: async (blocks) => await this.group?.record(blocks),
      committed: (transaction) => this.group?.committed(transaction),
    });
    this.#ingest = new Ingest({ ...options, watcher });
    this.#dictionaries = new DictionaryShelf(options.archive);
    endWhenLost(archive, { dictionaries: this.#dictionaries, channels: this.#channels, lostValues });
    const ingest = this.#ingest;
    const isMirrored = (streamId: string): boolean => this.#mirrors.isListed(streamId);
    this.#lost = new LostStores({ ...options, ingest, isMirrored });
    this.#mirrors = new MirrorDesk({
      ...{ ...options, ingest },
      acknowledgeable: (streamId, coverage) => this.#acknowledgeable(streamId, coverage),
      isForeign: (streamId, hello) => this.#isForeign(streamId, hello),
      unlisted: (hello) => this.#lost.lookAgain([...this.#sessions.values()], hello),
      count: (hello, streams) => this.#quotas.greet({ ...hello, streams }),
    });
    this.presence = new Presence(options.clock);
    this.commands = new CommandDesk(options);
    this.leases = new LeaseDesk({
      ...options,
      archive: sharedTerms(options.archive, () => this.group),
      granted: ({ site, process }, grant) => this.presence.of(site, process).granted(grant),
    });
    this.#epoch = new KernelEpoch(options);
    this.#observed = new ObservedStore({ ...options, ingest, presence: this.presence });
    this.group = options.group === undefined ? null : this.#makeGroup(options.group);
    this.#role = options.role ?? this.group;
    this.#groupRun = this.group?.run(this.#stop.signal) ?? Promise.resolve();
  }

  /** Why the archive takes nothing now, and for how long, milliseconds; `null` while it does. */
  get archiveTrouble(): ArchiveTrouble | null {
    return this.#ingest.trouble ?? troubleOf(this.#epochRefused, this.#options.clock);
  }

  /** Agents are welcome now. */
  get takesSessions(): boolean {
    return this.#role?.takesSessions ?? true;
  }

  /** Takes a connection. What goes wrong on it is logged and ends it, and nothing else. */
  accept(connection: Connection, dialled?: DialledConnection): void {
    const channel = new Channel(connection, this.#options.clock);
    const { remote } = channel;
    const refusal = this.#stop.signal.aborted ? 'the Kernel stops' : this.#admission.enter(remote);
    if (refusal !== null) {
      this.#ended.refuse(channel, refusal);
      return;
    }
    this.#channels.add(channel);
    if (dialled !== undefined) this.#dialled.set(channel, dialled);
    this.#serve(channel)
      .then(
        () => dialled?.over(null),
        (error: unknown) => {
          this.#ended.end(channel, error, this.#listeners.has(channel));
          dialled?.over(error);
        },
      )
      .finally(() => {
        this.#admission.leave(remote);
        this.#channels.delete(channel);
        channel.destroySoon();
      });
  }

  /** Sends every agent away. Returns whether what they brought got into the archive in time. */
  async drain(why: string, maxMs: number): Promise<boolean> {
    const { clock } = this.#options;
    this.#dismiss(why);
    const isThere = (): boolean => this.#sessions.size === 0 && this.#ingest.isIdle;
    if (!(await comes({ clock, maxMs, isThere }))) return false;
    await this.storeObserved();
    return true;
  }

  /** Says goodbye to every agent and finishes the transaction under way. `why`: there is another Kernel. */
  async close(why?: string): Promise<void> {
    this.#observed.close();
    this.#stop.abort();
    await this.#groupRun;
    this.leases.close();
    for (const channel of this.#channels) {
      if (why === undefined) channel.bye('stopping', 'the Kernel stops');
      else channel.bye('standby', why);
    }
    await this.#ingest.close();
  }

  async #serve(channel: Channel): Promise<void> {
    const message = await channel
      .receiveWithin(HELLO_TIMEOUT_MS)
      .finally(() => this.#admission.greeted(channel.remote));
    if (message === null) return;
    const hello = helloOf(message, channel.remote);
    const protocol = agreedProtocol(hello);
    if (hello.lane === 'kernel') {
      const { pace, kernelEpoch } = checkedKernel(this.group, { channel, hello, protocol });
      const sessionId = mintId(this.#options.random);
      const known = new Set(await this.#options.archive.dictionaries());
      const knownDictionaries = hello.dictionaryHashes.filter((hash) => known.has(hash));
      const given = { protocol, sessionId, coverage: [], kernelEpoch, knownDictionaries, ...pace };
      await this.#welcome(channel, given);
      return await this.group?.serve(hello.kernelName ?? '', channel, pace);
    }
    const control = hello.lane === 'data' ? this.#sessions.get(hello.sessionId)?.hello : undefined;
    checkClaim(channel.peerCertificate, hello, { ...this.#options, control });
    this.#dialled.get(channel)?.check(hello);
    if (hello.lane === 'peer') {
      throw new KomError('KOM_PROTOCOL_STATE', 'a peer link goes to another comm server, not to a Kernel');
    }
    channel.established();
    if (hello.lane === 'probe' || hello.lane === 'watch') await this.#answer(channel, hello, protocol);
    else if (hello.lane === 'data') await this.#serveData(channel, hello, protocol);
    else await this.#serveControl(channel, hello, protocol);
  }

  /**
   * Says that a session would be welcome, and the agent then closes; or who is hot, for as long as it
   * listens.
   */
  async #answer(channel: Channel, hello: Hello, protocol: number): Promise<void> {
    const isWatch = hello.lane === 'watch';
    this.#listeners.add(channel);
    if (!isWatch) this.#role?.checkTakes();
    const sessionId = mintId(this.#options.random);
    const pace = agreedPace(hello);
    await this.#welcome(channel, {
      protocol,
      sessionId,
      coverage: [],
      kernelEpoch: 0,
      ...(isWatch ? pace : {}),
    });
    if (isWatch) await this.#role?.serveWatch(channel, pace);
  }

  #makeGroup(place: GroupPlace): KernelGroup {
    return new KernelGroup({
      ...{ ...this.#options, ...place, presence: this.presence },
      ...{ ingest: this.#ingest, dictionaries: this.#dictionaries, lanes: this.#gate },
      dismiss: (why) => this.#dismiss(why),
      heardTerms: (terms) => this.leases.heard(terms),
      began: () => this.leases.restart(),
      epochRefused: (refused) => {
        this.#epochRefused = refused;
      },
      acknowledge: (streamIds) => {
        for (const { lane } of this.#sessions.values()) lane?.acknowledgeAgain(streamIds);
      },
    });
  }

  #dismiss(why: string): void {
    for (const { control, data } of this.#sessions.values()) {
      for (const channel of [control, data]) channel?.bye('standby', why);
    }
  }

  /** What an agent may forget of a stream: several Kernels may have to have it. */
  #acknowledgeable(streamId: string, coverage: Coverage): Coverage {
    this.#lostValues.saw(streamId, coverage);
    return this.#role?.acknowledgeable(streamId, coverage) ?? coverage;
  }

  async #serveControl(channel: Channel, hello: Hello, protocol: number): Promise<void> {
    const { archive, random, clock, log } = this.#options;
    const { site, process, instance } = hello;
    checkIdentity(hello);
    this.#quotas.greet(hello);
    const aheadUs = clock.wallUs() - hello.wallUs;
    const kernelEpoch = await (this.#role ?? this.#epoch).met(hello.highestKernelEpoch, `${site}/${process}`);
    const presence = this.presence.of(site, process);
    const own = presence.instance(instance);
    endReplaced(this.#sessions.values(), hello, log);
    const greeted = { hello, aheadUs, presence };
    const isForeign = (streamId: string): boolean => this.#isForeign(streamId, hello);
    const ownIds = await register(greeted, { archive, ingest: this.#ingest, lost: this.#lost, isForeign });
    // Meanwhile another Kernel may have become hot.
    this.#role?.checkTakes();
    const covered: CoveredStream[] = [];
    for (const { streamId, running } of hello.streams) {
      const shared = this.#acknowledgeable(streamId, await archive.coverage(streamId));
      covered.push({ streamId, coverage: settledCoverage(shared, running) });
    }
    const coverage = toldCoverage(covered, WELCOME_RANGES_MAX);
    const sessionId = mintId(random);
    const streamIds = new Set(
      hello.streams.flatMap(({ streamId, previous }) => [streamId, previous?.streamId ?? streamId]),
    );
    const session: AgentSession = {
      ...{ hello, aheadUs },
      pace: agreedPace(hello),
      control: channel,
      ...{ data: null, lane: null },
      ...{ isDataOver: false, saidGoodbye: false, farewell: null },
      presence,
      instance: own,
      live: new LiveLane({ instance: own, dictionaries: this.#dictionaries, clock }),
      ...{ streamIds, ownIds },
    };
    this.#sessions.set(sessionId, session);
    own.connected(
      hello.streams.map((each) => (ownIds.has(each.streamId) ? each : { ...each, running: false })),
    );
    this.#mirrors.connected({
      ...{ sessionId, hello, send: (message) => channel.send(message) },
      mirrors: (streams) => own.mirrors(streams),
    });
    const { remote, peerCertificate } = channel;
    const shown = certificateFields(peerCertificate, clock.wallUs());
    log.info({ site, process, instance, remote, version: hello.programVersion, ...shown }, 'agent connected');
    let watch: LaneWatch | null = null;
    let detach = (): void => {};
    let seat: Seat | null = null;
    try {
      const { pace } = session;
      await this.#welcome(channel, { protocol, sessionId, coverage, kernelEpoch, ...pace });
      this.#dialled.get(channel)?.welcomed();
      const other = (): Channel | null => session.data;
      const line = { site, process, instance, send: (message: Message) => channel.send(message) };
      if (protocol >= PROTOCOL_WITH_ACTIVATION) seat = this.leases.attach(line);
      const lane = new ControlLane({
        ...{ channel, archive, clock, presence, instance: own, seat, live: session.live },
        answered: (result) => this.commands.answered(result, hello),
        mirrored: (streams) => this.#mirrors.listed(sessionId, streams),
      });
      watch = new LaneWatch({ channel, pace, clock, log, echo: () => lane.echo, other });
      detach = this.commands.attach(line);
      session.saidGoodbye = await lane.run();
    } finally {
      detach();
      seat?.leave();
      watch?.cancel();
      this.#sessions.delete(sessionId);
      this.#mirrors.disconnected(sessionId);
      this.#endDataLane(session);
      if (![...this.#sessions.values()].some((other) => other.instance === own)) own.disconnected();
      void this.storeObserved();
      log.info({ site, process, instance, remote: channel.remote }, 'agent disconnected');
    }
  }

  async #serveData(channel: Channel, hello: Hello, protocol: number): Promise<void> {
    const session = this.#sessions.get(hello.sessionId);
    if (session === undefined || session.data !== null) {
      throw new KomError('KOM_PROTOCOL_STATE', 'a data lane for no session, or a second one');
    }
    session.data = channel;
    const { site, process } = session.hello;
    const { archive, clock, log } = this.#options;
    const knownDictionaries = await this.#dictionaries.known(hello.dictionaryHashes);
    const { sessionId } = hello;
    await this.#welcome(channel, { protocol, sessionId, coverage: [], kernelEpoch: 0, knownDictionaries });
    const quota = this.#quotas.session(site, process);
    const isForeign = (streamId: string): boolean => this.#isForeign(streamId, session.hello);
    const lane = {
      site,
      process,
      presence: session.presence,
      instance: session.instance,
      ...{ streamIds: session.streamIds, ownIds: session.ownIds },
      namedIds: new Set(session.hello.streams.map(({ streamId }) => streamId)),
      runningIds: new Set(session.hello.streams.flatMap((each) => (each.running ? each.streamId : []))),
      ...{ quota, isForeign, gate: this.#gate },
      dictionaries: this.#dictionaries,
      named: (hash: string, dictionary: Dictionary) => session.live.named(hash, dictionary),
      isMirrored: (streamId: string) => this.#mirrors.accepts(sessionId, streamId),
      acknowledgeable: (id: string, coverage: Coverage) => this.#acknowledgeable(id, coverage),
    };
    const watch = new LaneWatch({ channel, pace: session.pace, clock, log });
    try {
      session.lane = new DataLane({ ...lane, channel, archive, ingest: this.#ingest, clock, log });
      await session.lane.run();
    } finally {
      session.lane = null;
      watch.cancel();
      session.isDataOver = true;
      session.farewell?.cancel();
      // Without its data lane a session delivers nothing: the agent begins a new one.
      session.control.destroy();
    }
  }

  #isForeign(streamId: string, hello: Hello): boolean {
    return isNamedByOther(this.#sessions.values(), streamId, hello);
  }

  /** An agent that said goodbye may still be delivering its last blocks; it closes the data lane itself. */
  #endDataLane(session: AgentSession): void {
    const { data, isDataOver, saidGoodbye } = session;
    if (data === null || isDataOver) return;
    if (!saidGoodbye) data.destroy();
    else {
      session.farewell = this.#options.clock.schedule('last blocks', FAREWELL_MAX_MS, () => data.destroy());
    }
  }

  #welcome(
    channel: Channel,
    answer: Pick<Welcome, 'protocol' | 'sessionId' | 'coverage' | 'kernelEpoch'> & Partial<Welcome>,
  ): Promise<void> {
    const { programVersion, clock } = this.#options;
    const none = { heartbeatMs: 0, silenceMaxMs: 0, knownDictionaries: [] };
    return channel.send({
      type: 'welcome',
      welcome: { ...none, ...answer, programVersion, wallUs: clock.wallUs() },
    });
  }

  /** Makes durable how far the streams of connected agents are observed; gives up quietly if it cannot. */
  storeObserved(): Promise<void> {
    return this.#observed.store();
  }
}
