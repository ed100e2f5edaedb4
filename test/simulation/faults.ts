import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { StoreWrite } from '../../src/world/store.ts';
import { AGENT_HOST, type AgentHost, type AgentImage } from './agent-host.ts';
import { giveCommand, isCommandFault } from './command-faults.ts';
import type { History } from './history.ts';
import type { KernelHost } from './kernel-host.ts';
import { isKernelsFault, KernelsFaults } from './kernels-faults.ts';
import { LinkFaults } from './link-faults.ts';
import type { MirrorWatch } from './mirror-watch.ts';
import { DISK_FAULTS, type Fault, PAIR_FAULTS, type PairFault, type Swarm } from './options.ts';
import type { Plant } from './plant.ts';
import type { SharedDatabase } from './shared-database.ts';
import { isSharedFault, SharedFaults } from './shared-faults.ts';
import { peerHost } from './site.ts';
import { isSiteFault, SiteFaults } from './site-faults.ts';

const AGENT_DOWN = 'agent down';
/** Of the faults so many last long. */
const LONG_SHARE = 0.15;

export interface FaultSetup {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly network: SimulatedNetwork;
  /** The comm servers: one, or those of a pair. */
  readonly agents: readonly AgentHost[];
  /** A second machine whose disk is this copy. */
  readonly makeClone: (image: AgentImage) => AgentHost;
  /** One, or those of a group. */
  readonly kernels: readonly KernelHost[];
  /** `null`: each has an archive of its own. */
  readonly shared: SharedDatabase | null;
  readonly plant: Plant;
  readonly swarm: Swarm;
  readonly history: History;
  readonly mirrors: MirrorWatch;
}

/** Makes faults at random moments, and ends them. */
export class Faults {
  readonly #setup: FaultSetup;
  readonly counts: Partial<Record<Fault, number>> = {};
  /** When a fault began or ended, true times. */
  readonly momentsMs: number[] = [];
  readonly #healers = new Set<() => void>();
  #isOver = false;
  #image: AgentImage = new Map();
  #copy: AgentImage | null = null;
  #clone: AgentHost | null = null;
  #inForce = 0;
  /** The comm server that the present fault is for, and the Kernel. */
  #agent: AgentHost;
  #kernel: KernelHost;
  readonly #link: LinkFaults;
  readonly #kernels: KernelsFaults;
  readonly #site: SiteFaults;
  readonly #shared: SharedFaults;

  constructor(setup: FaultSetup) {
    this.#setup = setup;
    this.#agent = this.#first;
    this.#kernel = this.#firstKernel;
    this.#link = new LinkFaults(setup, {
      until: (...until) => this.#until(...until),
      isOver: () => this.#isOver,
    });
    this.#kernels = new KernelsFaults(setup, (what, end) => this.#until(what, end));
    this.#site = new SiteFaults(setup, (...until) => this.#until(...until));
    this.#shared = new SharedFaults(setup, (...until) => this.#until(...until));
    if (setup.swarm.faults.size > 0) this.#scheduleNext();
  }

  get #first(): AgentHost {
    const [first] = this.#setup.agents;
    if (first === undefined) throw new Error('a world has a comm server');
    return first;
  }

  get #firstKernel(): KernelHost {
    const [first] = this.#setup.kernels;
    if (first === undefined) throw new Error('a world has a Kernel');
    return first;
  }

  /** No fault is in force; that a process does not run is none. */
  get isQuiet(): boolean {
    const { agents, kernels } = this.#setup;
    const isStalled = kernels.some((kernel) => kernel.isStalled);
    return this.#inForce === 0 && !isStalled && !agents.some(({ run }) => run?.life.isStalled);
  }

  /** No more faults, and everything is well again. */
  heal(): void {
    this.#isOver = true;
    for (const heal of this.#healers) heal();
    const { network, agents, kernels } = this.#setup;
    for (const kernel of kernels) if (!kernel.isRunning) kernel.start();
    for (const agent of agents) if (agent.run === undefined) agent.start();
    if (this.#clone !== null) this.#healClone(this.#clone);
    const well = { latencyMs: 1, bytesPerSecond: Number.POSITIVE_INFINITY };
    const hosts = kernels.map(({ host }) => host);
    for (const name of [...agents.map((agent) => agent.name), ...hosts.slice(1)]) {
      for (const host of hosts) network.setLink(name, host, well);
    }
  }

  /**
   * Two machines with one identity take the session from each other, and one of them has to go. What it
   * still held is lost with it, which the next Hello of the other one tells.
   */
  #healClone(clone: AgentHost): void {
    const { network, swarm } = this.#setup;
    if (swarm.cloneInstance === 1) {
      if (clone.run !== undefined) clone.cutPower();
      for (const { host } of this.#setup.kernels) {
        network.cut(AGENT_HOST, host, 'reset');
        network.heal(AGENT_HOST, host);
      }
    } else clone.startWhenStopped();
  }

  #scheduleNext(): void {
    const { clock, random, swarm } = this.#setup;
    const delayMs = -Math.log(1 - random.fraction()) * swarm.faultEveryMs;
    clock.schedule('fault', delayMs, () => {
      if (this.#isOver) return;
      const kinds = [...swarm.faults];
      const kind = kinds[random.below(kinds.length)];
      if (kind !== undefined) this.#make(kind);
      this.#scheduleNext();
    });
  }

  #make(kind: Fault): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.momentsMs.push(this.#setup.clock.monotonicMs());
    const { agents, kernels, random } = this.#setup;
    if (kernels.length > 1) this.#kernel = kernels[random.below(kernels.length)] ?? this.#firstKernel;
    if (agents.length > 1) this.#agent = agents[random.below(agents.length)] ?? this.#first;
    this.#setup.history.note(`fault: ${kind}${agents.length > 1 ? ` (${this.#agent.name})` : ''}`);
    if (isPairFault(kind)) this.#makePairFault(kind);
    else if (isKernelsFault(kind)) this.#kernels.make(kind, this.#kernel);
    else if (isSiteFault(kind)) this.#site.make(kind);
    else if (isCommandFault(kind)) giveCommand(kind, this.#agent, this.#setup);
    else if (isSharedFault(kind)) this.#shared.make(kind, this.#kernel);
    else if (kind.startsWith('link-')) this.#link.make(kind, [this.#agent.name, this.#kernel.host]);
    else if (kind.startsWith('kernel-') || kind === 'archive-unavailable') this.#makeKernelFault(kind);
    else if (['station-unplugged', 'line-lost', 'device-clock'].includes(kind)) this.#makePlantFault(kind);
    else if (DISK_FAULTS.includes(kind)) this.#makeDiskFault(kind);
    else this.#makeAgentFault(kind);
  }

  #makePairFault(kind: PairFault): void {
    const { network, random, agents, kernels, swarm } = this.#setup;
    const cutKind = random.chance(0.5) ? 'hang' : 'reset';
    const networks = Array.from({ length: swarm.pair?.networks ?? 0 }, (_, at) => at);
    const between = (at: number) => [peerHost(1, at), peerHost(2, at)] as const;
    if (kind === 'peer-flapping') {
      this.#flapPeer(2 + random.below(12));
    } else if (kind === 'server-destroyed') {
      this.#destroy();
    } else if (kind === 'uplinks-cut') {
      const ways = agents.flatMap(({ name }) => kernels.map(({ host }) => [name, host] as const));
      for (const way of ways) network.cut(...way, cutKind);
      this.#until('uplinks', () => {
        for (const way of ways) network.heal(...way);
      });
    } else {
      const cut = kind === 'peer-cut' ? networks : [random.below(networks.length)];
      for (const at of cut) network.cut(...between(at), cutKind);
      this.#until('peer link', () => {
        for (const at of cut) network.heal(...between(at));
      });
    }
  }

  /** One of two: who holds the backlog of the other one lives. */
  #destroy(): void {
    const agent = this.#agent;
    const { agents, mirrors, clock } = this.#setup;
    const holder = agents.find((each) => each !== agent);
    if (holder?.run === undefined || agent.run === undefined) return;
    mirrors.destroyed(agent, holder, clock.monotonicMs());
    agent.destroy();
    this.#startLater();
  }

  #flapPeer(times: number): void {
    const { network, clock, random } = this.#setup;
    if (this.#isOver || times === 0) return;
    network.cut(peerHost(1, 0), peerHost(2, 0), 'reset');
    network.heal(peerHost(1, 0), peerHost(2, 0));
    clock.schedule('flap', 50 + random.fraction() * 1500, () => this.#flapPeer(times - 1));
  }

  #makeKernelFault(kind: Fault): void {
    const { random } = this.#setup;
    const kernel = this.#kernel;
    if (kind === 'archive-unavailable') {
      kernel.isArchiveAvailable = false;
      this.#until('archive', () => {
        kernel.isArchiveAvailable = true;
      });
    } else if (kind === 'kernel-stall') kernel.stall(random.fraction() * 15_000);
    else if (kernel.isRunning) {
      kernel.crash();
      this.#until('kernel down', () => {
        if (!kernel.isRunning) kernel.start();
      });
    }
  }

  #makePlantFault(kind: Fault): void {
    const { plant, random, swarm } = this.#setup;
    const station = plant.stations[random.below(plant.stations.length)];
    const line = swarm.lines[random.below(swarm.lines.length)];
    if (station === undefined || line === undefined) return;
    const { name } = station.options;
    if (kind === 'station-unplugged') {
      plant.unplug(name, true);
      this.#until(`${name} unplugged`, () => plant.unplug(name, false));
    } else if (kind === 'line-lost') {
      plant.loseLine(line.name, true);
      this.#until(`${line.name} lost`, () => plant.loseLine(line.name, false));
    } else if (random.chance(0.5)) station.clockOffsetUs = Math.round((random.fraction() - 0.7) * 60_000_000);
    else {
      station.hasClock = false;
      this.#until(`${name} without a clock`, () => {
        station.hasClock = true;
      });
    }
  }

  #makeAgentFault(kind: Fault): void {
    const { random } = this.#setup;
    const agent = this.#agent;
    switch (kind) {
      case 'agent-kill':
        agent.kill();
        this.#startLater();
        break;
      case 'power-cut':
        agent.cutPower();
        this.#startLater();
        break;
      case 'agent-stop':
        agent.stop();
        this.#startLater();
        break;
      case 'agent-stall':
        agent.run?.life.stall(random.fraction() * 8000);
        break;
      default:
        agent.wall.offsetUs += Math.round((random.fraction() - 0.5) * 20_000_000);
    }
  }

  #startLater(): void {
    const agent = this.#agent;
    this.#until(AGENT_DOWN, () => agent.startWhenStopped());
  }

  #makeDiskFault(kind: Fault): void {
    const agent = this.#agent;
    const disks = [...agent.disks.values()];
    switch (kind) {
      case 'disk-full':
        for (const disk of disks) {
          const writes = [...disk.image().values()].flat();
          disk.totalBytes = writes.reduce((sum, each) => sum + bytesOf(each), 0);
        }
        this.#until('disk full', () => {
          for (const disk of disks) disk.totalBytes = Number.MAX_SAFE_INTEGER;
        });
        break;
      case 'disk-error':
      case 'disk-read-only':
        for (const disk of disks) disk.failing = kind === 'disk-error' ? 'all' : 'write';
        this.#until('disk', () => {
          for (const disk of disks) disk.failing = 'nothing';
        });
        break;
      case 'image-restored':
        // The image is of an earlier time: it was taken the last time that this fault came up.
        if (this.#image.size > 0) {
          agent.restoreImage(this.#image);
          this.#startLater();
        }
        this.#image = agent.image();
        break;
      case 'disk-cloned':
        this.#cloneDisk();
        break;
      default:
        this.#damage(kind);
    }
  }

  /** First a copy is taken; then, while its owner goes on, a second machine with it comes and goes. */
  #cloneDisk(): void {
    const agent = this.#agent;
    const { makeClone } = this.#setup;
    if (this.#copy === null) this.#copy = agent.image();
    else if (this.#clone === null) {
      this.#clone = makeClone(this.#copy);
      this.#clone.start();
    } else if (this.#clone.run === undefined) this.#clone.start();
    else if (this.#setup.random.chance(0.5)) this.#clone.kill();
    else this.#clone.stop();
  }

  #damage(kind: Fault): void {
    const { random } = this.#setup;
    const agent = this.#agent;
    const stores = [...agent.disks];
    const [part, disk] = (stores.length > 1 ? stores[random.below(stores.length)] : stores[0]) ?? [];
    if (part === undefined || disk === undefined) return;
    const segments = disk.names.filter((name) => name.startsWith('segment-'));
    const segment = segments[random.below(segments.length)];
    if (kind === 'bit-flip') {
      const name = random.chance(0.2) ? 'meta' : segment;
      const keys = name === undefined || !disk.names.includes(name) ? [] : disk.keys(name);
      const key = keys[random.below(keys.length)];
      const bits = key === undefined || name === undefined ? 0 : 8 * (disk.value(name, key)?.length ?? 0);
      if (key !== undefined && name !== undefined) disk.flipBit(name, key, random.below(bits));
      return;
    }
    // A database that is open goes on working; what is wrong with it shows at the next start.
    const name = kind === 'meta-lost' ? 'meta' : segment;
    if (name === undefined || !disk.names.includes(name)) return;
    agent.kill();
    if (kind === 'meta-lost') agent.forget(part);
    if (kind === 'meta-lost' && random.chance(0.5)) disk.remove('meta').catch(() => undefined);
    else disk.damage(name, random.chance(0.5) ? 'repairable' : 'beyond-repair');
    this.#startLater();
  }

  /** Ends a fault after a while that is sometimes short and sometimes long, or when all is healed. */
  #until(what: string, end: () => void, longShare = LONG_SHARE): void {
    const { clock, random, history } = this.#setup;
    const longMs = random.chance(longShare) ? 20_000 : 2500;
    const weight = what === AGENT_DOWN ? 0 : 1;
    this.#inForce += weight;
    const timer = clock.schedule('end of fault', 10 + random.fraction() * longMs, () => heal());
    const heal = () => {
      this.#healers.delete(heal);
      this.#inForce -= weight;
      timer.cancel();
      history.note(`fault: ${what} ends`);
      this.momentsMs.push(clock.monotonicMs());
      end();
    };
    this.#healers.add(heal);
  }
}

function isPairFault(kind: Fault): kind is PairFault {
  return PAIR_FAULTS.some((each) => each === kind);
}

function bytesOf(write: StoreWrite): number {
  return write.type === 'put' ? write.value.length + 16 : 0;
}
