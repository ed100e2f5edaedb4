import { OVERLAP_MARKS, overlapMarks } from '../../src/domain/overlap.ts';
import { formatTerm, NO_TERM } from '../../src/domain/term.ts';
import type { TimelineSegment } from '../../src/domain/timeline.ts';
import { segmentsOf } from '../../src/kernel/archive/segments.ts';
import type { ArchivedGap, ArchivedSample } from '../../src/world/archive.ts';
import type { AgentRun } from './agent-host.ts';
import { type Find, STARTED_US } from './checkers.ts';
import { type Fault, type LineOptions, touchesDisk } from './options.ts';
import { partOfTag, partsOf } from './parts.ts';
import { type Seen, TAGS } from './plant.ts';
import { PROCESS, SITE } from './site.ts';
import { keepersOf, type World, waitFor } from './world.ts';

/*
 * What two instances of a process owe together, beyond what each of them owes alone: by the record of the
 * plant, by the roles that an operator would have seen, and by the archive's default view.
 */

/** When all is well and awake, exactly one is active within this time, */
const ROLES_SETTLE_MS = 20_000;
/** and for so long after that a Kernel may still give the role back to the preferred one. */
const PREFERRED_MS = 16_000;
/** A reading that a standby held may be reported so much later. */
const HELD_MS = 3000;
/** Clocks and scheduling between the plant's record and the agent's. */
const TOLERANCE_US = 1_000_000;
/** Kernels tell each other how far streams were observed at least so often, and a look later. */
const TOLD_ON_MS = 11_000;
/** What the view may miss at the edge of what somebody observed. */
const EDGE_US = 300_000;
/** From a kill to the next active one, with fast disks and links: DESIGN asks for 1 s. */
const TAKEOVER_MAX_MS = 1000;

/** Waits until the roles are as they have to be when all is well, and sees that they stay so. */
export async function settleRoles(world: World, find: Find): Promise<void> {
  const { clock, instances, kernels, roles } = world;
  await waitFor(world, 'two instances that are awake', () => {
    const isAwake = instances.every(({ run, phase }) => phase !== null && !run?.life.isStalled);
    return isAwake && !kernels.some((kernel) => kernel.isStalled);
  });
  const fromMs = clock.monotonicMs();
  await waitFor(world, 'one that is active', () => isSettled(world));
  const tookMs = clock.monotonicMs() - fromMs;
  if (tookMs > ROLES_SETTLE_MS) find(`it took ${tookMs} ms until one instance was active, and one stood by`);
  await clock.advance(PREFERRED_MS);
  const quietMs = clock.monotonicMs();
  if (!isSettled(world)) find(`all is well, and active are: ${roles.active.join(', ') || 'none'}`);
  await clock.advance(5000);
  const later = roles.seen.find(({ atMs }) => atMs > quietMs);
  if (later !== undefined)
    find(`all is well, and ${later.host} became ${later.phase} at ${later.atMs / 1000} s`);
}

function isSettled({ instances, roles }: World): boolean {
  return roles.active.length === 1 && instances.some(({ phase }) => phase === 'standby');
}

export async function checkPair(world: World, find: Find): Promise<void> {
  const { clock, swarm } = world;
  const kernels = keepersOf(world);
  checkRoles(world, find);
  checkTakeovers(world, find);
  // A heartbeat of each lane; what the hot Kernel hands on is as old as an alive mark.
  await clock.advance(2000 + (kernels.length > 1 ? swarm.aliveMarkMs : 0));
  await storeObserved(world);
  if (kernels.length > 1) {
    await clock.advance(TOLD_ON_MS);
    await storeObserved(world);
  }
  for (const kernel of kernels) {
    const { archive, host } = kernel;
    const findAt: Find = (text) => find(swarm.kernels === null ? text : `${host}: ${text}`);
    await world.mirrors.check(archive, findAt);
    await checkShared({ ...world, archive, kernel }, findAt);
  }
}

async function storeObserved(world: World): Promise<void> {
  const { clock } = world;
  const stored = keepersOf(world).map((kernel) => kernel.storeObserved());
  await clock.advance(2000);
  await Promise.all(stored);
}

/** What the archive of one Kernel has to say of the two. */
async function checkShared(world: World, find: Find): Promise<void> {
  const runs = world.instances.flatMap((agent) => agent.runs);
  const streams = await world.archive.streams(SITE, PROCESS);
  const instanceOf = new Map(streams.map(({ streamId, instance }) => [streamId, instance]));
  for (const station of world.plant.stations) {
    const tags = TAGS.map((tag, at) => ({
      tag: `${station.options.name}.${tag}`,
      index: station.firstTag + at,
    }));
    for (const { tag, index } of tags) {
      const { archive } = world;
      const samples = await archive.samples({ site: SITE, tag, ...ALWAYS, limit: 1e9, withMarked: true });
      const rows = { tag, scanMs: scanMsOf(world, station), samples, instanceOf, find };
      checkMarks(rows);
      checkTerms(rows);
      checkHeld({ runs, samples, index, find });
    }
    for (const part of partsOf(world.swarm.alarmShare)) {
      const own = tags.find(({ index }) => partOfTag(index, world.swarm.alarmShare) === part);
      if (own !== undefined) await checkView(world, { tag: own.tag, station, find });
    }
  }
}

const ALWAYS = { fromUs: 0, toUs: Number.MAX_SAFE_INTEGER };

/** Of two Kernels that are hot, cut from each other, each may grant a lease. */
const FORCING: readonly Fault[] = ['kernel-force', 'kernel-replaced', 'site-parted'];

/**
 * Each term has one holder, and never are two leases valid; where nothing goes wrong, no role moves, and
 * never are two active.
 */
function checkRoles({ roles, swarm, instances }: World, find: Find): void {
  const holders = new Map<number, string>();
  for (const { host, run, phase, term, atMs, isForgettable } of roles.seen) {
    if (phase !== 'active' || term === NO_TERM) continue;
    // A machine that took the place of a destroyed one knows nothing of the terms of that one.
    const machine = instances.find(({ name }) => name === host);
    const anewMs = Math.max(
      0,
      ...(machine?.forgotAtMs ?? []).map((each) => each.atMs).filter((ms) => ms < atMs),
    );
    const before = roles.seen.filter(
      (each) => each.host === host && each.run < run && each.phase === 'active' && each.atMs > anewMs,
    );
    // What its disk refused the next run does not know.
    const known = before.filter((each) => !each.isForgettable);
    const highest = Math.max(NO_TERM, ...known.map((each) => each.term));
    // Whose disk gives it no term, and takes none either, is granted again what its Kernel holds for it.
    if (term < highest || (term === highest && !isForgettable))
      find(`at ${atMs / 1000} s ${host} acts under ${formatTerm(term)}; an earlier run did under ${highest}`);
    const holder = holders.get(term) ?? host;
    if (holder !== host) find(`at ${atMs / 1000} s ${host} acts under ${formatTerm(term)}, as ${holder} did`);
    holders.set(term, holder);
  }
  const [twoMs] = roles.twoLeasesMs;
  const mayRuleTwice = FORCING.some((fault) => swarm.faults.has(fault));
  if (twoMs !== undefined && !mayRuleTwice) find(`at ${twoMs / 1000} s both had a lease`);
  if (swarm.faults.size > 0) return;
  const first = roles.seen.find(({ phase }) => phase === 'active');
  const moved = roles.seen.find(
    ({ host, phase, atMs }) =>
      first !== undefined && atMs > first.atMs && (host === first.host || phase === 'active'),
  );
  // A preferred instance that was not the first gets the role once.
  const mayMove = swarm.pair?.preferredInstance !== 0;
  if (moved?.phase !== undefined && moved.phase !== 'active' && !mayMove)
    find(`nothing went wrong, and ${moved.host} became ${moved.phase} at ${moved.atMs / 1000} s`);
  const both = roles.seen.find(({ active }) => active.length > 1);
  if (both !== undefined) find(`nothing went wrong, and both were active at ${both.atMs / 1000} s`);
}

/** A killed active one is followed within the time that the design gives, where links and disks are well. */
function checkTakeovers({ roles, faults, swarm, instances }: World, find: Find): void {
  const { syncMs, commitMs, latencyMs, bytesPerSecond } = swarm;
  if (bytesPerSecond < 1_000_000) return;
  const boundMs = TAKEOVER_MAX_MS + 2 * commitMs + 3 * syncMs.max + 10 * latencyMs;
  for (const { runs, name } of instances) {
    for (const { end, endedMs, charge } of runs) {
      if (end !== 'killed' || charge.turns.at(-1)?.untilMs !== endedMs) continue;
      const before = roles.seen.filter(({ atMs }) => atMs <= endedMs);
      const isStandby = before.findLast(({ host }) => host !== name)?.phase === 'standby';
      const since = roles.seen.filter(({ atMs, host }) => atMs > endedMs && host !== name);
      const next = since.find(({ phase }) => phase === 'active');
      const untilMs = next?.atMs ?? Number.POSITIVE_INFINITY;
      const [wellMs, overMs] = [endedMs - QUIET_BEFORE_MS, Math.min(untilMs, endedMs + boundMs)];
      const others = faults.momentsMs.filter((ms) => ms > wellMs && ms < overMs && ms !== endedMs);
      const troubles = roles.troubles.filter((each) => each.fromMs < overMs && each.untilMs > wellMs);
      if (!isStandby || others.length > 0 || troubles.length > 0) continue;
      if (untilMs - endedMs > boundMs)
        find(`${name} was killed at ${endedMs / 1000} s, the other took over after ${untilMs - endedMs} ms`);
    }
  }
}

/** Sessions that a former fault ended have come back. */
const QUIET_BEFORE_MS = 8000;

interface RowsCheck {
  readonly tag: string;
  /** Not given: it is subscribed. */
  readonly scanMs: number | undefined;
  readonly samples: readonly ArchivedSample[];
  readonly instanceOf: ReadonlyMap<string, number>;
  readonly find: Find;
}

function scanMsOf({ swarm }: World, { options }: ViewCheck['station']): number | undefined {
  const isPolled = swarm.lines.some(({ kind, stations }) => kind === 'poll' && stations.includes(options));
  return isPolled ? options.scanMs : undefined;
}

function checkTerms({ samples, instanceOf, find }: RowsCheck): void {
  const holders = new Map<number, number>();
  for (const { term, streamId } of samples) {
    const instance = instanceOf.get(streamId) ?? 0;
    if (term === NO_TERM) find(`a row of instance ${instance} was numbered under no term`);
    const holder = holders.get(term) ?? instance;
    if (holder !== instance) find(`rows of instances ${holder} and ${instance} bear ${formatTerm(term)}`);
    holders.set(term, holder);
  }
}

/** Rows are hidden where another instance tells better, and only there. */
function checkMarks({ tag, scanMs, samples, instanceOf, find }: RowsCheck): void {
  const rows = samples.map((row) => ({ ...row, instance: instanceOf.get(row.streamId) ?? 0 }));
  const marks = overlapMarks(rows, scanMs);
  for (const [at, { marks: told, sequence, streamId }] of rows.entries()) {
    const should = marks[at] ?? 0;
    if ((told & OVERLAP_MARKS) !== should)
      find(
        `${tag}: number ${sequence} of ${streamId.slice(0, 8)} has marks ${told}, and should have ${should}`,
      );
  }
}

/** Who stands by numbers nothing but what it held when it took over. */
function checkHeld(held: {
  runs: readonly AgentRun[];
  samples: readonly ArchivedSample[];
  index: number;
  find: Find;
}): void {
  const { runs, samples, index, find } = held;
  for (const { streamIds, record, charge } of runs) {
    const own = new Set(streamIds.values());
    const rows = samples.filter(({ streamId }) => own.has(streamId));
    const times = Map.groupBy(
      record.served.filter(({ tagIndex }) => tagIndex === index),
      ({ sourceTimeUs, wallUs, value }) => `${sourceTimeUs > 0 ? sourceTimeUs : wallUs} ${String(value)}`,
    );
    for (const { deviceTimeUs, rawTimeUs, value, sequence } of rows) {
      const served = times.get(`${deviceTimeUs ?? rawTimeUs} ${String(value)}`) ?? [];
      if (served.length === 0 || served.some(({ isOptional }) => !isOptional)) continue;
      const heldMs = ({ trueMs }: { trueMs: number }): number =>
        charge.turns.some(({ fromMs, untilMs }) => fromMs <= trueMs && trueMs <= untilMs)
          ? 0
          : Math.min(...charge.turns.map(({ fromMs }) => (fromMs >= trueMs ? fromMs - trueMs : 1e9)));
      const spanMs = Math.min(...served.map(heldMs));
      if (spanMs > HELD_MAX_MS) find(`tag ${index}: number ${sequence} was numbered by one that stood by`);
    }
  }
}

/** With the longest peer timeout: three times of it, and a slow disk. */
const HELD_MAX_MS = 3 * HELD_MS + 4000;

interface ViewCheck {
  readonly tag: string;
  readonly station: World['plant']['stations'][number];
  readonly find: Find;
}

/**
 * The default view of a tag: what neither instance observed is not shown as data, and what one observed that
 * was in charge is.
 */
async function checkView(world: World, { tag, station, find }: ViewCheck): Promise<void> {
  const { archive, kernel, swarm, untilMs } = world;
  const presence = kernel.presence(SITE, PROCESS);
  const interval = { site: SITE, tag, fromUs: STARTED_US - 60_000_000, toUs: presence.nowUs };
  const qualities = await archive.qualityChanges(interval);
  const segments = await segmentsOf(archive, interval, { presence, qualities });
  const seen = station.seen
    .filter((each) => each.trueMs <= untilMs && isReported(world, each))
    .toSorted((a, b) => a.trueMs - b.trueMs);
  const { name, scanMs } = station.options;
  const line = swarm.lines.find(({ stations }) => stations.some((each) => each.name === name));
  const paceMs = line?.kind === 'poll' ? scanMs : (line?.keepAliveMs ?? 0) + (line?.publishMs ?? 0);
  const pauseMaxMs = 2 * paceMs + 500;
  const [one, other] = swarm.pair?.clockOffsetsUs ?? [0, 0];
  const skewUs = Math.max(Math.abs(one), Math.abs(other), Math.abs(one - other));
  for (const [at, from] of seen.entries()) {
    const to = seen[at + 1];
    // What lies within the difference of two clocks the other one may have observed by its own.
    if (to === undefined || to.trueMs - from.trueMs <= Math.max(pauseMaxMs, skewUs / 1000)) continue;
    const openUs = lengthOf(segments, from.wallUs, to.wallUs, ({ state }) => state === 'data');
    if (openUs <= pauseMaxMs * 1000 + TOLERANCE_US + skewUs) continue;
    find(
      `${tag}: nobody observed it from ${from.trueMs / 1000} to ${to.trueMs / 1000} s, ` +
        `and ${openUs / 1e6} s of that are shown as data`,
    );
  }
  const gaps = await archive.gaps(interval);
  // What a damaged disk had of the time before is declared anew; what was unplugged was not observed.
  if (touchesDisk(swarm.faults) || swarm.faults.has('station-unplugged')) return;
  for (const [run, all] of Map.groupBy(
    seen.filter(({ isTold }) => isTold),
    ({ by }) => by,
  ))
    checkShown(world, { tag, segments, gaps, pauseMaxMs, find, run: runOf(world, run), seen: all });
}

function runOf(world: World, record: Seen['by']): AgentRun | undefined {
  return world.instances.flatMap(({ runs }) => runs).find((run) => run.record === record);
}

/** What a standby saw counts where it took over while it still held it. */
function isReported(world: World, { isOptional, by, trueMs }: Seen): boolean {
  if (!isOptional) return true;
  const turns = runOf(world, by)?.charge.turns ?? [];
  return turns.some(({ fromMs, untilMs }) => trueMs <= untilMs && fromMs - trueMs <= HELD_MAX_MS);
}

interface ShownCheck extends Omit<ViewCheck, 'station'> {
  readonly segments: readonly TimelineSegment[];
  readonly gaps: readonly ArchivedGap[];
  readonly pauseMaxMs: number;
  readonly run: AgentRun | undefined;
  readonly seen: readonly Seen[];
}

/** No hole in the view where an instance in charge observed, and its own stream lost nothing. */
function checkShown(
  { swarm }: World,
  { tag, segments, gaps, pauseMaxMs, run, seen, find }: ShownCheck,
): void {
  const own = new Set(run?.streamIds.values());
  const { aliveMarkMs, blockAgeMs, spillAgeMs, syncMs } = swarm;
  // The next run declares what came after the last alive mark.
  const cutMs = aliveMarkMs + blockAgeMs + spillAgeMs + 8 * syncMs.max + 1000;
  const isCut = run?.end === 'killed' || run?.end === 'power-cut';
  const certainMs = isCut ? run.endedMs - cutMs : Number.POSITIVE_INFINITY;
  const lost = gaps.filter((gap) => own.has(gap.streamId) && gap.kind === 'sequence');
  const slowestMs = Math.max(...swarm.lines.flatMap(pacesMs));
  for (const [at, from] of seen.entries()) {
    const to = seen[at + 1];
    if (to === undefined || from.isOptional || to.isOptional || to.trueMs - from.trueMs > pauseMaxMs)
      continue;
    if (to.trueMs > certainMs) return;
    // What a device keeps from here on it keeps for the next turn, of which it begins a little later.
    if (run?.charge.turns.some(({ untilMs }) => from.trueMs <= untilMs && untilMs <= to.trueMs)) continue;
    // A stream is observed as far as its slowest line, until its run stands by.
    if (run?.charge.turns.some(({ untilMs }) => to.trueMs <= untilMs && untilMs - to.trueMs < slowestMs))
      continue;
    // Behind lost numbers the view doubts until the next sample.
    if (lost.some(({ fromUs }) => fromUs <= to.wallUs)) continue;
    const isHole = ({ state, reason }: TimelineSegment) =>
      state === 'pending' ||
      state === 'unknown' ||
      (state === 'gap' && (reason === 'takeover' || reason === 'agent-stopped'));
    const holeUs = lengthOf(segments, from.wallUs, to.wallUs, isHole);
    if (holeUs <= EDGE_US) continue;
    find(
      `${tag}: it was observed from ${from.trueMs / 1000} to ${to.trueMs / 1000} s, ` +
        `and ${holeUs / 1e6} s of that are shown as a hole: ${shown(segments.filter(isHole), from, to)}`,
    );
    return;
  }
}

/** How often a line tells of its stations. */
function pacesMs({ kind, publishMs, stations }: LineOptions): number[] {
  return stations.map(({ scanMs, periodMs }) => (kind === 'poll' ? scanMs : Math.max(publishMs, periodMs)));
}

/** For a person: the segments within, in seconds since the start. */
function shown(segments: readonly TimelineSegment[], from: Seen, to: Seen): string {
  const seconds = (us: number): string => ((us - STARTED_US) / 1e6).toFixed(3);
  return segments
    .filter(({ fromUs, toUs }) => fromUs < to.wallUs && toUs > from.wallUs)
    .map(({ fromUs, toUs, state, reason }) => `${state} ${reason} ${seconds(fromUs)} to ${seconds(toUs)}`)
    .join(', ');
}

function lengthOf(
  segments: readonly TimelineSegment[],
  fromUs: number,
  ...[toUs, isMeant]: readonly [number, (segment: TimelineSegment) => boolean]
): number {
  return segments
    .filter(isMeant)
    .reduce((sum, each) => sum + Math.max(0, Math.min(each.toUs, toUs) - Math.max(each.fromUs, fromUs)), 0);
}
