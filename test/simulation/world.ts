import type { Server } from '../../src/config/model.ts';
import { contiguousEnd } from '../../src/domain/coverage.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Transport } from '../../src/world/transport.ts';
import {
  AGENT_HOST,
  type AgentDisks,
  AgentHost,
  type AgentImage,
  CLONE_HOST,
  SECOND_HOST,
} from './agent-host.ts';
import { Faults } from './faults.ts';
import { HeardWatch } from './heard-watch.ts';
import { History } from './history.ts';
import { KernelHost } from './kernel-host.ts';
import { MirrorWatch } from './mirror-watch.ts';
import { type Mutation, NO_MUTATION } from './mutations.ts';
import type { Swarm } from './options.ts';
import { type Part, partsOf } from './parts.ts';
import { Plant } from './plant.ts';
import { RefusedNumbers } from './refusing.ts';
import { RoleWatch } from './role-watch.ts';
import { SharedDatabase } from './shared-database.ts';
import { SharingWatch } from './sharing-watch.ts';
import { KERNEL_HOST, kernelHostsOf, serversOf, siteOf } from './site.ts';

/** With everything well the backlog must be gone within this time. */
const DRAIN_MAX_MS = 240_000;
/** Which source of chance each disk has. */
const DISK_SALTS: Readonly<Record<Part, number>> = { main: 2, alarms: 7 };
/** And the Kernels, and the disks of their rings, by place. */
const KERNEL_SALTS = [4, 13, 18];
const KERNEL_DISK_SALTS = [14, 14, 19];
const REFUSED_SALT = 23;

export interface WorldSetup {
  readonly seed: number;
  readonly swarm: Swarm;
  /** Whatever the product threw where nothing may be thrown. */
  readonly failed: (error: unknown) => void;
  /** A planted defect; none if not given. */
  readonly mutation?: Mutation;
  /** Stands between a side and the network; nothing if not given. */
  readonly between?: (side: 'agent' | 'kernel', transport: Transport) => Transport;
}

/** A source of chance of its own for each actor, so that one does not shift what others draw. */
export function sourceOf(seed: number, salt: number) {
  return createSimulatedRandom(seed * 31 + salt);
}

export type World = ReturnType<typeof makeWorld>;

export function makeWorld(setup: WorldSetup) {
  const { seed, swarm, failed, between = (_, transport) => transport, mutation = NO_MUTATION } = setup;
  const source = (salt: number) => sourceOf(seed, salt);
  const clock = new SimulatedClock();
  const history = new History(clock);
  const { latencyMs, bytesPerSecond } = swarm;
  const network = new SimulatedNetwork({
    clock,
    random: source(1),
    defaultLink: { latencyMs, bytesPerSecond },
  });
  const disks = new Map(
    partsOf(swarm.alarmShare).map((part) => [part, new SimulatedDisk(clock, source(DISK_SALTS[part]))]),
  );
  for (const disk of disks.values()) disk.syncMs = { ...swarm.syncMs };
  const isShared = swarm.pair !== null;
  const plant = new Plant({ clock, random: source(3), lines: swarm.lines, isShared });
  const mutated = (transport: Transport) => mutation.transport?.(transport) ?? transport;
  const hosts = kernelHostsOf(swarm);
  const shared = swarm.shared === null ? null : new SharedDatabase(clock);
  if (shared !== null) {
    shared.database.commitMs = swarm.commitMs;
    mutation.database?.(shared.database);
  }
  const refused = new RefusedNumbers(source(REFUSED_SALT));
  const makeKernel = (host: string, at: number): KernelHost => {
    const others = hosts.filter((each) => each !== host);
    const firstRole = host === KERNEL_HOST ? 'hot' : 'standby';
    const newDisk = () => new SimulatedDisk(clock, source(KERNEL_DISK_SALTS[at] ?? 14));
    return new KernelHost({
      ...{ clock, network, random: source(KERNEL_SALTS[at] ?? 4), commitMs: swarm.commitMs },
      ...{ seed, history, mutation, failed, host, salt: at * 1_000_003 },
      refusedBy: (to) => refused.by(kernels.find((each) => each.host === to)?.refusedShare ?? 0),
      shared,
      group: swarm.kernels === null ? null : { ...swarm.kernels, others, firstRole, newDisk },
      transport: between('kernel', mutated(network.host(host))),
    });
  };
  const kernel = makeKernel(KERNEL_HOST, 0);
  const kernels: readonly KernelHost[] = [
    kernel,
    ...hosts.slice(1).map((host, at) => makeKernel(host, at + 1)),
  ];
  const agents: AgentHost[] = [];
  const mirrors = new MirrorWatch();
  const mirrorDisksOf = (salt: number): AgentDisks | null => {
    if (swarm.pair?.isMirrored !== true) return null;
    const own = new Map([...disks.keys()].map((part) => [part, new SimulatedDisk(clock, source(salt))]));
    for (const disk of own.values()) disk.syncMs = { ...swarm.syncMs };
    return own;
  };
  const makeAgent = (
    host: string,
    own: { disks: AgentDisks; server: Server; mirrorDisks: AgentDisks | null },
  ) => {
    const names = [host, ...own.server.peers.map(({ address }) => address.host)];
    const agent: AgentHost = new AgentHost({
      ...{
        name: host,
        clock,
        seed,
        plant,
        lines: swarm.lines,
        history,
        mutation,
        failed,
        ...own,
        ...siteOf(swarm),
      },
      hasRealTimeClock: swarm.hasRealTimeClock,
      transport: isShared
        ? mirrors.transport(host, transportOf(network, host, own.server), () => agent.runs.length)
        : between('agent', transportOf(network, host, own.server)),
      killConnections: () => {
        for (const name of names) network.killHost(name);
      },
      switchOff: (isOff) => {
        for (const name of isShared ? names : []) network.switchOff(name, isOff);
      },
    });
    agents.push(agent);
    return agent;
  };
  const [server, second] = serversOf(swarm);
  const agent = makeAgent(AGENT_HOST, { disks, server, mirrorDisks: mirrorDisksOf(12) });
  if (second !== undefined) {
    const own = new Map([...disks.keys()].map((part) => [part, new SimulatedDisk(clock, source(10))]));
    for (const disk of own.values()) disk.syncMs = { ...swarm.syncMs };
    makeAgent(SECOND_HOST, { disks: own, server: second, mirrorDisks: mirrorDisksOf(13) });
    for (const [at, { wall }] of agents.entries()) wall.offsetUs = swarm.pair?.clockOffsetsUs[at] ?? 0;
  }
  const instances: readonly AgentHost[] = [...agents];
  const makeClone = (image: AgentImage) => {
    const copies = new Map([...disks.keys()].map((part) => [part, new SimulatedDisk(clock, source(8))]));
    for (const [part, disk] of copies) {
      disk.syncMs = { ...swarm.syncMs };
      disk.restore(image.get(part) ?? new Map());
    }
    const clone = { ...server, instance: swarm.cloneInstance };
    return makeAgent(CLONE_HOST, { disks: copies, server: clone, mirrorDisks: null });
  };
  const faults = new Faults({
    clock,
    random: source(5),
    network,
    agents: instances,
    makeClone,
    kernels,
    shared,
    plant,
    swarm,
    history,
    mirrors,
  });
  const roles = new RoleWatch({ clock, agents: instances, isQuiet: () => faults.isQuiet });
  const sharing = new SharingWatch({ clock, kernels, isShared: shared !== null });
  const heard = new HeardWatch({ clock, kernels, isShared });
  return {
    seed,
    swarm,
    clock,
    history,
    network,
    archive: kernel.archive,
    plant,
    kernel,
    kernels,
    refused,
    agent,
    instances,
    agents,
    faults,
    roles,
    heard,
    shared,
    sharing,
    mirrors,
    untilMs: 0,
  };
}

/** Every address of a server is a host of its own, so that each network can be cut. */
function transportOf(network: SimulatedNetwork, host: string, { peers }: Server): Transport {
  const own = network.host(host);
  if (peers.length === 0) return own;
  const byHost = new Map(peers.map(({ address }) => [address.host, network.host(address.host)]));
  const suffixOf = (name: string) => name.slice(name.indexOf('.'));
  const bySuffix = new Map([...byHost].map(([name, transport]) => [suffixOf(name), transport]));
  return {
    ...own,
    listen: (address, ...rest) => (byHost.get(address.host) ?? own).listen(address, ...rest),
    connect: (address, options) => {
      const isPeer = address.host.startsWith('peer');
      const from = isPeer ? bySuffix.get(suffixOf(address.host)) : own;
      return (from ?? own).connect(address, options);
    },
  };
}

/** The Kernels at whose archives is looked: each, or, where they share one, whoever is hot. */
export function keepersOf({ kernels, shared }: Pick<World, 'kernels' | 'shared'>): readonly KernelHost[] {
  return shared === null ? kernels : kernels.filter(({ takesSessions }) => takesSessions);
}

/** Lets time pass until something is so. @throws Error when it never is, though all is well */
export async function waitFor(
  world: World,
  what: string,
  isThere: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = world.clock.monotonicMs() + DRAIN_MAX_MS;
  while (!(await isThere())) {
    if (world.clock.monotonicMs() > endMs) throw new Error(`all is well, and yet there never was ${what}`);
    await world.clock.advance(100);
  }
}

/** Everything is well from here on: time passes until all that was numbered is in the archive. */
export async function settle(world: World): Promise<void> {
  const { clock, plant, swarm } = world;
  // One that is gone for good has nothing to settle.
  const agents = world.agents.filter((agent) => agent.run !== undefined || world.instances.includes(agent));
  const stores = () => agents.flatMap((agent) => agent.stores());
  await waitFor(world, 'an agent that runs and is connected', () => {
    const isConnected = stores().every(({ status }) => status.backlog.state !== 'outage');
    return isConnected && agents.every((agent) => agent.stores().length > 0);
  });
  await waitFor(world, 'an agent that is awake, without an overload', () => {
    const hasOverload = stores().some(({ status }) => status.overloadCount > 0);
    return agents.every(({ run }) => run?.life.isStalled === false) && !hasOverload;
  });
  plant.stopProducing();
  world.history.note('the plant stands still');
  const stillMs = clock.monotonicMs();
  await clock.advance(2 * swarm.blockAgeMs);
  for (const { status } of stores()) {
    const { streamId, producedTo } = status;
    for (const { archive, host } of world.kernels) {
      await waitFor(world, `everything up to number ${producedTo} in the archive of ${host}`, async () => {
        return contiguousEnd(await archive.coverage(streamId)) >= producedTo;
      });
    }
  }
  await waitFor(world, 'a backlog that is gone', () => {
    return stores().every(({ status }) => status.backlog.ring.unacknowledgedSamples === 0);
  });
  world.untilMs = stillMs;
}
