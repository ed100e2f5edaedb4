import { contiguousEnd } from '../../src/domain/coverage.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { AGENT_HOST, AgentHost } from './agent-host.ts';
import { checkCoverage, checkObserved, checkResolved, checkRun, type Find } from './checkers.ts';
import { type Evidence, ownGaps, partRun, readEvidence } from './evidence.ts';
import { Faults } from './faults.ts';
import { History } from './history.ts';
import { KernelHost } from './kernel-host.ts';
import { drawSwarm, FAULTS, type Fault, type Swarm, touchesDisk } from './options.ts';
import { type Part, partOfTag, partsOf, shareOf } from './parts.ts';
import { Plant, TAGS } from './plant.ts';
import { checkReserved } from './reserved.ts';
import { siteOf } from './site.ts';

export interface SeedResult {
  readonly seed: number;
  /** What is wrong; empty for a seed that passes. */
  readonly findings: readonly string[];
  readonly samples: number;
  readonly virtualMs: number;
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  readonly swarm: Swarm;
  readonly history: readonly string[];
  readonly digest: string;
}

const FINDINGS_MAX = 20;
/** With everything well the backlog must be gone within this time. */
const DRAIN_MAX_MS = 240_000;
const BOUNDS_CHECK_MS = 500;
/** The window closes before a block and not within: the last one may reach beyond the bound. */
const WINDOW_EXCESS_BYTES = 64 * 1024;
const TIMERS_MAX = 100;
/** Which source of chance each disk has. */
const DISK_SALTS: Readonly<Record<Part, number>> = { main: 2, alarms: 7 };

/** Runs one seed from its first event to its verdict. */
export async function runSeed(seed: number, allowed: readonly Fault[] = FAULTS): Promise<SeedResult> {
  const findings: string[] = [];
  const find = (text: string) => {
    if (findings.length < FINDINGS_MAX) findings.push(text);
  };
  const stray = (error: unknown) => find(`unexpected: ${stackOf(error)}`);
  process.on('unhandledRejection', stray);
  const world = makeWorld(seed, allowed, stray);
  try {
    await live(world, find);
    await check(world, find);
  } catch (error) {
    find(`unexpected: ${stackOf(error)}`);
  } finally {
    process.off('unhandledRejection', stray);
  }
  const { clock, faults, history, swarm, archive } = world;
  return {
    seed,
    findings,
    samples: (await archive.stat()).samples,
    virtualMs: clock.monotonicMs(),
    faults: faults.counts,
    swarm,
    history: history.lines,
    digest: history.digest(),
  };
}

type World = ReturnType<typeof makeWorld>;

function makeWorld(seed: number, allowed: readonly Fault[], failed: (error: unknown) => void) {
  const random = createSimulatedRandom(seed);
  const source = (salt: number) => createSimulatedRandom(seed * 31 + salt);
  const swarm = drawSwarm(random, source(6), allowed);
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
  const archive = new SimulatedArchive();
  const plant = new Plant({ clock, random: source(3), lines: swarm.lines });
  const kernel = new KernelHost({
    ...{ clock, network, archive, random: source(4), commitMs: swarm.commitMs, seed, history, failed },
  });
  const agent = new AgentHost({
    ...{ clock, disks, seed, plant, lines: swarm.lines, history, failed, ...siteOf(swarm) },
    transport: network.host(AGENT_HOST),
    killConnections: () => network.killHost(AGENT_HOST),
  });
  const faults = new Faults({
    clock,
    random: source(5),
    network,
    agent,
    kernel,
    plant,
    disks,
    swarm,
    history,
  });
  return { seed, swarm, clock, history, network, disks, archive, plant, kernel, agent, faults, untilMs: 0 };
}

/** The time of faults, then the time in which all must come right. */
async function live(world: World, find: (text: string) => void): Promise<void> {
  const { clock, swarm, agent, kernel, faults, plant, disks, history } = world;
  const bounds = clock.repeat('bounds', BOUNDS_CHECK_MS, () => checkBounds(world, find));
  kernel.start();
  agent.start();
  await clock.advance(swarm.runMs);
  history.note('everything is healed');
  faults.heal();
  for (const disk of disks.values()) {
    disk.syncMs = { min: Math.min(1, swarm.syncMs.min), max: Math.min(20, swarm.syncMs.max) };
  }
  kernel.commitMs = Math.min(6, swarm.commitMs);
  await clock.advance(5000);
  await waitFor(world, 'an agent that runs and is online', () => {
    const stores = agent.stores();
    return stores.length > 0 && stores.every(({ status }) => status.backlog.state === 'online');
  });
  await waitFor(world, 'an agent that is awake, without an overload', () => {
    const hasOverload = agent.stores().some(({ status }) => status.overloadCount > 0);
    return agent.run?.life.isStalled === false && !hasOverload;
  });
  plant.stopProducing();
  world.history.note('the plant stands still');
  const stillMs = clock.monotonicMs();
  await clock.advance(2 * swarm.blockAgeMs);
  for (const { status } of agent.stores()) {
    const { streamId, producedTo } = status;
    await waitFor(world, `everything up to number ${producedTo} in the archive`, async () => {
      return contiguousEnd(await world.archive.coverage(streamId)) >= producedTo;
    });
  }
  await waitFor(world, 'a backlog that is gone', () => {
    return agent.stores().every(({ status }) => status.backlog.ring.unacknowledgedSamples === 0);
  });
  bounds.cancel();
  world.untilMs = stillMs;
}

async function waitFor(world: World, what: string, isThere: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = world.clock.monotonicMs() + DRAIN_MAX_MS;
  while (!(await isThere())) {
    if (world.clock.monotonicMs() > endMs) throw new Error(`all is well, and yet there never was ${what}`);
    await world.clock.advance(100);
  }
}

async function check(world: World, find: (text: string) => void): Promise<void> {
  const { archive, plant, swarm } = world;
  const names = plant.stations.map(({ options }) => options.name);
  const evidence = await readEvidence(archive, names);
  for (const [streamId, stream] of evidence.streams) checkCoverage(streamId, stream, find);
  for (const part of partsOf(swarm.alarmShare)) {
    checkRuns(world, { evidence, part, find });
    checkStations(world, { evidence, part, find });
  }
  if (swarm.alarmShare > 0 && !touchesDisk(swarm.faults)) checkReserved({ ...world, evidence, find });
  if (mayLoseNothing(swarm)) {
    for (const [tagIndex, gaps] of evidence.gapsOfTag.entries()) {
      const [gap] = gaps;
      if (gap !== undefined) find(`tag ${tagIndex} has a gap (${gap.reason}) that nothing explains`);
    }
  }
}

interface PartCheck {
  readonly evidence: Evidence;
  readonly part: Part;
  readonly find: Find;
}

function checkRuns(world: World, { evidence, part, find }: PartCheck): void {
  const { agent, swarm, untilMs } = world;
  const runs = agent.runs.map((run) => partRun(run, part, swarm.alarmShare));
  const gapsOfTag = ownGaps(evidence, agent.runs, part);
  for (const run of runs) {
    const stream = evidence.streams.get(run.streamId ?? '');
    // Of this one nobody knows anything: it died before a Kernel heard of it, and then its store forgot.
    if (run.isForgotten && stream === undefined) continue;
    if (stream !== undefined) checkResolved(run, stream, find);
    checkRun({
      ...{ run, stream: stream ?? { coverage: [], rows: [] }, gapsOfTag, untilMs, find },
      ...{ lossBoundMs: lossBoundMs(world), hasWallSteps: swarm.faults.has('wall-step') },
    });
  }
}

function checkStations(world: World, { evidence, part, find }: PartCheck): void {
  const { agent, plant, swarm, untilMs } = world;
  const startsMs = agent.runs.map((run) => run.startedMs);
  const forgotAtMs = agent.forgotAtMs.filter((each) => each.part === part).map(({ atMs }) => atMs);
  for (const station of plant.stations) {
    const { scanMs, name } = station.options;
    const line = swarm.lines.find(({ stations }) => stations.some((each) => each.name === name));
    const paceMs = line?.kind === 'poll' ? scanMs : (line?.keepAliveMs ?? 0) + (line?.publishMs ?? 0);
    const own = TAGS.map((_, at) => station.firstTag + at);
    const tagIndex = own.find((index) => partOfTag(index, swarm.alarmShare) === part) ?? station.firstTag;
    const { seen } = station;
    const pauseMaxMs = 2 * paceMs + 500;
    checkObserved({ name, tagIndex, seen, pauseMaxMs, evidence, forgotAtMs, startsMs, untilMs, find });
  }
}

/** With room for everything and a disk that keeps up, a bad link alone costs nothing. */
function mayLoseNothing(swarm: Swarm): boolean {
  const isLinkOnly = [...swarm.faults].every((fault) => fault.startsWith('link-'));
  const isRoomy = swarm.capacityBytes >= 16 * 1024 * 1024 && swarm.windowBytes >= 2 * 1024 * 1024;
  return isLinkOnly && isRoomy && swarm.syncMs.max <= 200;
}

function lossBoundMs({ swarm }: World): number | null {
  if (touchesDisk(swarm.faults) || swarm.faults.has('agent-stall')) return null;
  const spillAgeMs = swarm.policy === 'always' ? 0 : swarm.spillAgeMs;
  return swarm.blockAgeMs + spillAgeMs + 8 * swarm.syncMs.max + 1000;
}

/** What must hold at every moment. */
function checkBounds(world: World, find: (text: string) => void): void {
  const { agent, swarm, clock } = world;
  const at = `at ${(clock.monotonicMs() / 1000).toFixed(1)} s`;
  for (const { part, status } of agent.stores()) {
    const share = shareOf(part, swarm.alarmShare);
    const { windowBytes, ring } = status.backlog;
    if (windowBytes > share * swarm.windowBytes + WINDOW_EXCESS_BYTES)
      find(`${at} the window of ${part} has ${windowBytes} bytes`);
    const diskBytes = ring.diskBytes + ring.quarantineBytes;
    if (diskBytes > 1.25 * share * swarm.capacityBytes)
      find(`${at} the ring of ${part} takes ${diskBytes} bytes`);
  }
  const timers = agent.run?.life.timers ?? 0;
  if (timers > TIMERS_MAX) find(`${at} the agent has ${timers} timers`);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
