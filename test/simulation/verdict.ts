import { OPEN_END } from '../../src/domain/gap.ts';
import { powerCutBoundMs } from '../../src/domain/power-cut.ts';
import type { AgentRun } from './agent-host.ts';
import { checkCoverage, checkObserved, checkResolved, checkRun, type Find } from './checkers.ts';
import { checkTimes } from './clock-truth.ts';
import { type Evidence, ownGaps, type PartRun, partRun, readEvidence } from './evidence.ts';
import { type Swarm, touchesDisk } from './options.ts';
import { type Part, partOfTag, partsOf } from './parts.ts';
import { type Seen, TAGS } from './plant.ts';
import { checkReserved } from './reserved.ts';
import { checkQuarantine, checkStorms } from './storms.ts';
import type { World } from './world.ts';

/** Compares what the plant recorded with what the archive has in the end. */
export async function check(world: World, find: (text: string) => void): Promise<void> {
  const { archive, plant, swarm } = world;
  const names = plant.stations.map(({ options }) => options.name);
  const evidence = await readEvidence(archive, names);
  for (const [streamId, stream] of evidence.streams) checkCoverage(streamId, stream, find);
  for (const part of partsOf(swarm.alarmShare)) {
    checkRuns(world, { evidence, part, find });
    if (swarm.pair === null) checkStations(world, { evidence, part, find });
  }
  if (swarm.alarmShare > 0 && !touchesDisk(swarm.faults))
    checkReserved({ runs: world.agents.flatMap(({ runs }) => runs), swarm, evidence, find });
  const runs = world.agents.flatMap((each) => each.runs);
  // Where somebody sets the clock that the agent follows, its times are what that one wanted.
  const isClockKept = swarm.clockMode === 'kernel' || !swarm.faults.has('wall-step');
  // Of a machine whose clock was never right nobody can ask for right times.
  const isAhead = swarm.pair?.clockOffsetsUs.some((us) => us !== 0) === true;
  if (isClockKept && !isAhead) checkTimes(runs, evidence, find);
  for (const said of world.history.endedByStore) find(`a store ended a session: ${said}`);
  checkStorms({ ...world, untilMs: world.clock.monotonicMs(), evidence, find });
  // A disk that takes nothing cannot be tidied up; those that are left are well again.
  checkQuarantine({ agents: world.agents.filter(({ run }) => run !== undefined), swarm, find });
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
  const { agent, agents, heard, swarm, untilMs } = world;
  const all = agents.flatMap((each) => each.runs);
  const gapsOfTag = ownGaps(evidence, all, part);
  const isHeardBefore = (ms: number) => isHeard({ runs: agent.runs, evidence, part }, ms);
  for (const each of all) {
    const run = partRun(each, part, swarm);
    const stream = evidence.streams.get(run.streamId ?? '');
    // Of a copy of a machine that is gone before a Kernel heard of it nobody knows either.
    if (stream === undefined && !agent.runs.includes(each)) continue;
    // Of this one nobody knows: no Kernel heard of it or of one before it, and then its store forgot.
    if (run.isForgotten && stream === undefined && !isHeardBefore(run.startedMs)) continue;
    // Of a disk that took no mark of it only a Kernel can tell that the run did not stand by to its end.
    const isMarked = swarm.pair === null || !touchesDisk(swarm.faults);
    const heardThrough = isMarked ? OPEN_END : heard.through(run.streamId ?? '');
    if (stream !== undefined) checkResolved(run, { ...stream, heardThrough }, find);
    checkRun({
      ...{ run, stream: stream ?? { coverage: [], toldEnd: null, rows: [] }, gapsOfTag, untilMs, find },
      lossBoundMs: lossBoundMs(world, run),
      mayStartAnew: swarm.faults.has('wall-step') || !swarm.hasRealTimeClock,
    });
  }
}

function checkStations(world: World, { evidence, part, find }: PartCheck): void {
  const { agent, agents, clock, plant, swarm, untilMs } = world;
  const startsMs = agent.runs.map((run) => run.startedMs);
  const streamIds = agents
    .flatMap(({ runs }) => runs)
    .toSorted((a, b) => a.startedMs - b.startedMs)
    .flatMap((run) => run.streamIds.get(part) ?? []);
  // A bad quality then stands at the time of the device and not of the pause.
  const isUntimely = swarm.faults.has('device-clock');
  const forgotAtMs = agent.forgotAtMs
    .filter(({ part: forgetful, atMs }) => {
      return forgetful === part && (isUntimely || !isHeard({ runs: agent.runs, evidence, part }, atMs));
    })
    .map(({ atMs }) => atMs);
  const bootUs = clock.wallUs() - Math.round(clock.monotonicMs() * 1000);
  const trueUs = ({ trueMs }: Seen): number => bootUs + Math.round(trueMs * 1000);
  for (const station of plant.stations) {
    const { scanMs, name } = station.options;
    const line = swarm.lines.find(({ stations }) => stations.some((each) => each.name === name));
    const paceMs = line?.kind === 'poll' ? scanMs : (line?.keepAliveMs ?? 0) + (line?.publishMs ?? 0);
    const own = TAGS.map((_, at) => station.firstTag + at);
    const tagIndex = own.find((index) => partOfTag(index, swarm.alarmShare) === part) ?? station.firstTag;
    const { seen } = station;
    const pauseMaxMs = 2 * paceMs + 500;
    checkObserved({
      ...{
        name,
        tagIndex,
        seen,
        pauseMaxMs,
        evidence,
        forgotAtMs,
        startsMs,
        streamIds,
        untilMs,
        trueUs,
        find,
      },
    });
  }
}

/** A Kernel had heard of the store before a moment, true time; so it can tell when the store forgets. */
function isHeard(
  { runs, evidence, part }: { runs: readonly AgentRun[]; evidence: Evidence; part: Part },
  beforeMs: number,
): boolean {
  return runs.some(
    ({ startedMs, streamIds }) => startedMs < beforeMs && evidence.streams.has(streamIds.get(part) ?? ''),
  );
}

/** With room for everything and a disk that keeps up, a bad link alone costs nothing. */
function mayLoseNothing(swarm: Swarm): boolean {
  // What nobody observes in a takeover is a gap.
  if (swarm.pair !== null) return false;
  const isLinkOnly = [...swarm.faults].every((fault) => fault.startsWith('link-'));
  const isRoomy = swarm.capacityBytes >= 16 * 1024 * 1024 && swarm.windowBytes >= 2 * 1024 * 1024;
  return isLinkOnly && isRoomy && swarm.syncMs.max <= 200;
}

/**
 * What the product said right before that a cut may cost; damage to the disk costs more. Where nothing held
 * the process up, that is what it says of its ages and its writes, whatever waits at that moment.
 */
function lossBoundMs({ swarm }: World, { risk }: PartRun): number | null {
  if (risk === null || touchesDisk(swarm.faults)) return null;
  if (swarm.faults.has('agent-stall')) return risk.boundMs;
  const { policy: store, blockAgeMs, spillAgeMs } = swarm;
  return powerCutBoundMs({ store, blockAgeMs, spillAgeMs, ...risk });
}
