import { wrongClock } from './group/clock-offset.ts';
import type { GroupStatus, OtherStatus } from './group/group-status.ts';
import type { SharedStatus } from './group/shared/shared-status.ts';
import type { LostStatus } from './lost-values.ts';

/** A Kernel that lacks something for longer is an alarm. */
const BEHIND_MAX_MS = 5000;
/** Another Kernel says a word twice a second; one that says none for so long is silent. */
export const SILENT_MAX_MS = 5000;
/** Who starts may need so long to find the others. */
const START_MS = 10_000;
/** A session that nobody asks anything in is ended by the database within 5 s. */
const OWN_SESSION_MAX_MS = 10_000;

/** Something about a Kernel that a person has to look at. */
export interface KernelAlarm {
  readonly code:
    | 'kernel-archive'
    | 'kernel-regressed'
    | 'kernel-overtaken'
    | 'kernel-nobody-hot'
    | 'kernel-silent'
    | 'kernel-alone'
    | 'kernel-behind'
    | 'kernel-lacks'
    | 'kernel-refuses'
    | 'kernel-agents'
    | 'kernel-waits'
    | 'kernel-ring'
    | 'kernel-twin'
    | 'kernel-clock'
    | 'kernel-database';
  readonly text: string;
}

/** What a Kernel knows of itself. */
export interface KernelFacts {
  /** Why its archive takes nothing now; `null` while it does. */
  readonly archive: { readonly error: string; readonly forMs: number | null } | null;
  /** What was acknowledged and is not in the archive; `null`: nothing, as far as is known. */
  readonly lost?: LostStatus | null;
  /** `null`: no other Kernel has an archive of its own. */
  readonly group: GroupStatus | null;
  /** `null`: no other Kernel has the same archive. */
  readonly sharing: SharedStatus | null;
}

/** The alarms that stand, of whatever kind of Kernel, in whatever role. */
export function kernelAlarms({ archive, lost = null, group, sharing }: KernelFacts): KernelAlarm[] {
  return [
    ...archiveAlarms({ archive, group, sharing }),
    ...(lost === null ? [] : [regressedAlarm(lost)]),
    ...(group === null ? [] : groupAlarms(group)),
    ...(sharing === null ? [] : sharedAlarms(sharing)),
  ];
}

function archiveAlarms({ archive, group, sharing }: KernelFacts): KernelAlarm[] {
  // A database that is not there is an alarm of its own.
  if (archive === null || (sharing?.databaseError ?? null) !== null) return [];
  // Who is not let in has none.
  if ((sharing?.twin ?? null) !== null) return [];
  const { error, forMs } = archive;
  const since = forMs === null ? '' : ` for ${seconds(forMs)}`;
  const instead = group === null ? '' : orderlySwitch(group);
  return [{ code: 'kernel-archive', text: `the archive takes nothing${since}: ${error}${instead}` }];
}

function regressedAlarm({ values, streams, ranges, declared, forMs }: LostStatus): KernelAlarm {
  const told = ranges.map(({ streamId, first, last }) => `${first} to ${last} of stream ${streamId}`);
  const where = `${told.join(', ')}${streams > 1 ? `, of ${streams} streams in all` : ''}`;
  const text =
    `the archive lacks ${values} values that were acknowledged, known for ${seconds(forMs)}: ` +
    `numbers ${where}; ${declared} of them are declared lost as a gap kernel-regressed, ` +
    'the others come again if an agent or another Kernel has them; the alarm ends when all have come, ' +
    'or with kom kernel acknowledge kernel.json';
  return { code: 'kernel-regressed', text };
}

/**
 * The command that makes another Kernel hot in place of one whose archive takes nothing, and what that one
 * has: a member of the set all that was acknowledged; where nobody waits for a set, it may be a bit behind.
 */
function orderlySwitch(group: GroupStatus): string {
  const to = successor(group);
  if (to === null) return '';
  const has = group.isInSyncAsked
    ? 'has all that was acknowledged'
    : `is ${seconds(BEHIND_MAX_MS)} behind at most, and is made hot only with all that the archive has`;
  return `; ${to} ${has}: kom kernel switch kernel.json --to ${to}`;
}

/** Who can be hot in place of a Kernel whose archive takes nothing; `null`: nobody, as far as is known. */
function successor({ role, isInSyncAsked, inSync, kernels }: GroupStatus): string | null {
  if (role !== 'hot') return null;
  const follows = ({ name, behindMs }: OtherStatus): boolean =>
    isInSyncAsked ? inSync.includes(name) : behindMs !== null && behindMs <= BEHIND_MAX_MS;
  const can = kernels.find((each) => each.isConnected && !isSilent(each) && follows(each));
  return can?.name ?? null;
}

/** By what a Kernel knows of those with archives of their own. */
export function groupAlarms(status: GroupStatus): KernelAlarm[] {
  const { role, ringError, upMs, twins, kernels } = status;
  const alarms: KernelAlarm[] = [...overtaken(status, '; this one does not follow it wholly yet')];
  if (ringError !== null) {
    const text = `the forwarding ring takes nothing, agents wait: ${ringError}`;
    alarms.push({ code: 'kernel-ring', text });
  }
  for (const { name, first, second } of twins) {
    const text =
      `two machines say that they are ${name}: the one at ${first}, which goes on, ` +
      `and the one at ${second}, which is not let in; ` +
      'stop one, or give it another name';
    alarms.push({ code: 'kernel-twin', text });
  }
  for (const { name, offsetMs } of kernels) {
    const how = wrongClock(offsetMs);
    if (how === null) continue;
    alarms.push({ code: 'kernel-clock', text: `the clock of ${name} is ${how}, beside the one here` });
  }
  if (upMs <= START_MS) return alarms;
  alarms.push(...kernels.flatMap(refusing));
  return [...alarms, ...(role === 'hot' ? alarmsOfHot(status) : alarmsOfStandby(status))];
}

/** By what a Kernel knows of those that it shares the archive with. */
export function sharedAlarms(status: SharedStatus): KernelAlarm[] {
  const { role, databaseError, twin, kernels, takesSessions, heardEpoch, epoch, hot, upMs } = status;
  const alarms: KernelAlarm[] = [...overtaken(status)];
  if (twin !== null) alarms.push(twinAlarm(status.name, twin));
  if (databaseError !== null) {
    const text = `nobody knows who is hot without the database, and agents wait: ${databaseError}`;
    alarms.push({ code: 'kernel-database', text });
  }
  if (heardEpoch > 0) {
    const text =
      `an agent has seen epoch ${heardEpoch}, the database has ${epoch}: it was restored, or is not the ` +
      'copy that was written last; if it is the right one, switch with --force';
    alarms.push({ code: 'kernel-database', text });
  }
  if (role !== 'hot') {
    const isExplained = databaseError !== null || twin !== null || heardEpoch > 0;
    if (hot === '' && !isExplained && upMs > START_MS) alarms.push(NOBODY_AT_DATABASE);
    return alarms;
  }
  if (!takesSessions) alarms.push(WAITS);
  if (!kernels.some(({ isPresent }) => isPresent)) {
    alarms.push({ code: 'kernel-alone', text: 'no other Kernel is at the database to take over' });
  }
  return alarms;
}

function twinAlarm(name: string, { from, forMs }: { from: string; forMs: number }): KernelAlarm {
  if (forMs <= OWN_SESSION_MAX_MS) {
    const text =
      `a session of ${name} is at the database already, from ${from}: this Kernel's own of a moment ago, ` +
      'which ends within seconds, or that of another machine';
    return { code: 'kernel-database', text };
  }
  const text =
    `another machine is ${name} as well: the one at ${from} is at the database and goes on, this one is ` +
    `not let in, for ${seconds(forMs)} now, and is nothing meanwhile; stop one of the two, or give this ` +
    'one another name (redundancy.name in its Kernel file) and restart it';
  return { code: 'kernel-twin', text };
}

const WAITS: KernelAlarm = { code: 'kernel-waits', text: 'it is hot and takes no sessions yet' };
const NOBODY_AT_DATABASE: KernelAlarm = {
  code: 'kernel-nobody-hot',
  text: 'no Kernel has the lock of the database, and agents wait',
};

function overtaken({ overtakenBy }: { readonly overtakenBy: string | null }, more = ''): KernelAlarm[] {
  if (overtakenBy === null) return [];
  const text = `it was hot, and heard of another reign: ${overtakenBy}${more}`;
  return [{ code: 'kernel-overtaken', text }];
}

/** In words of what the one has that gives, whichever of the two is hot. */
function refusing({ name, refused }: OtherStatus): KernelAlarm[] {
  const { values, runs, forMs, why } = refused;
  if (forMs === null) return [];
  const what = `${name} refuses ${values} values in ${runs} ${runs === 1 ? 'run' : 'runs'}`;
  const said = `(${why ?? 'it has not said why yet'}), known here for ${seconds(forMs)}`;
  const text =
    `${what} ${said}: they are a gap there, and lost with the archive here; bring ${name} to the version ` +
    'that runs here (kom --version) and restart it';
  return [{ code: 'kernel-refuses', text }];
}

function* alarmsOfHot({
  name: self,
  takesSessions,
  kernels,
  missingAgents,
}: GroupStatus): Generator<KernelAlarm> {
  if (!takesSessions) yield WAITS;
  else if (missingAgents.length > 0) {
    const text =
      `nothing has come from ${missingAgents.join(', ')} since this Kernel is hot, and before that it did: ` +
      `does the site file there name ${self} under kernels? Then kom reload, and kom status there says why`;
    yield { code: 'kernel-agents', text };
  }
  for (const { name, toGet, toGetMs, isConnected } of kernels) {
    if (toGet === 0 || toGetMs <= BEHIND_MAX_MS) continue;
    const how = isConnected ? 'which gives them' : 'which is not there';
    const text = `${self} is hot and lacks ${toGet} values that ${name} has, ${how}`;
    yield { code: 'kernel-lacks', text: `${text}: ${whileLacking(name)}` };
  }
  for (const other of kernels) {
    const { name, behindMs } = other;
    if (behindMs !== null && behindMs <= BEHIND_MAX_MS) continue;
    const how = behindMs === null ? whyUnknown(other) : `it is ${seconds(behindMs)} behind`;
    yield { code: 'kernel-behind', text: `${name} does not have everything: ${how}` };
  }
}

function* alarmsOfStandby(status: GroupStatus): Generator<KernelAlarm> {
  const { name, hot, kernels, isInSyncAsked, inSync } = status;
  const isAlone = kernels.length > 0 && kernels.every(isAway);
  const hotOne = kernels.find((each) => each.name === hot);
  const isSilentHot = hot !== '' && (hotOne === undefined || isSilent(hotOne));
  // With the hot one as the only other Kernel it is one cause, and told once, with what to do.
  if (isAlone && !(isSilentHot && kernels.length === 1 && hotOne !== undefined)) {
    const why = kernels.map(linkOf).join('; ');
    yield { code: 'kernel-alone', text: `no link to any other Kernel: ${why}` };
  }
  if (hot === '') {
    yield { code: 'kernel-nobody-hot', text: nobodyHot(status) };
  } else if (isSilentHot) {
    yield { code: 'kernel-silent', text: silentText(status, hotOne) };
  } else if (isInSyncAsked && !inSync.includes(name)) {
    yield { code: 'kernel-behind', text: `${name} does not have everything: it is not in the in-sync set` };
  }
  // What it lacks for a moment is on its way.
  if (
    hotOne !== undefined &&
    hotOne.toGive > 0 &&
    (hotOne.behindMs ?? Number.POSITIVE_INFINITY) > BEHIND_MAX_MS
  ) {
    const text = `${hot} is hot and lacks ${hotOne.toGive} values that are here, and are given to it`;
    yield { code: 'kernel-lacks', text: `${text}: ${whileLacking(name)}` };
  }
  if (isAlone) return;
  for (const other of kernels.filter((each) => each !== hotOne && isAway(each))) {
    const text = `${other.name} is not there: ${other.lastError ?? 'not connected'}`;
    yield { code: 'kernel-behind', text };
  }
}

/** `name`: who has what the hot one lacks. */
function whileLacking(name: string): string {
  return `do not replace ${name}, nor its disk, until they are there, or they are lost`;
}

/** Who was it last, and the command that makes one hot in its place. */
function nobodyHot(status: GroupStatus): string {
  const { epoch, former } = status;
  const text = `nobody is hot in epoch ${epoch}, as far as is known here, and agents wait`;
  const last = former === undefined ? '' : `; ${former.hot} was it last, in epoch ${former.epoch}`;
  return `${text}${last}; ${whoInstead(status)}`;
}

/**
 * The command that makes a Kernel hot in place of one that is gone: this one if it was in the last set, else
 * one that was and says so, and if none is there, what this one would be without.
 */
function whoInstead({ name, hot, epoch, former, kernels, isInSyncAsked, inSync }: GroupStatus): string {
  const isHere = forceAt(name, name);
  if (inSync.includes(name)) return isHere;
  if (!isInSyncAsked) {
    // Its disk was new, or an older copy, when it heard of this epoch.
    const isLost = hot === '' && epoch > 0 && former === undefined;
    const other = isLost ? kernels.find(({ isConnected }) => isConnected) : undefined;
    return forceAt(other?.name ?? name, name);
  }
  if (epoch === 0) return isHere;
  const members = inSync.filter((each) => each !== hot);
  const there = kernels.find((each) => each.isConnected && each.isInOwnSet && members.includes(each.name));
  if (there !== undefined) return `${there.name} was in the last in-sync set; ${forceAt(there.name, name)}`;
  const better = members.length > 0 ? members.join(' or ') : hot;
  const first = better === '' ? '' : `: have ${better} back first, if that can be`;
  return `${name} is not in the last in-sync set, and lacks values${first}; else ${isHere}`;
}

/** It may be gone, or only not to be reached from here: which, only a person can see. */
function silentText(status: GroupStatus, hotOne: OtherStatus | undefined): string {
  const { hot } = status;
  const heard = hotOne?.silentMs ?? null;
  const since = heard === null ? 'since this Kernel started' : `for ${seconds(heard)}`;
  const why = hotOne === undefined || hotOne.isConnected ? '' : ` (${linkOf(hotOne)})`;
  return (
    `${hot} is hot, as far as is known here, and was not heard ${since}${why}; if it is gone, agents wait ` +
    `with their values; if it comes back by itself nothing need be done, else ${whoInstead(status)}`
  );
}

/** The command that makes a Kernel hot, as it is told by one of them. */
function forceAt(to: string, teller: string): string {
  const where = to === teller ? 'here, makes this one' : `at ${to}, makes that one`;
  return `kom kernel switch kernel.json --to ${to} --force, given ${where} hot, and says what it may lack`;
}

function linkOf({ name, lastError }: OtherStatus): string {
  return `${name}: ${lastError ?? 'not connected'}`;
}

/** Why it is not known how far another Kernel is. */
function whyUnknown({ isConnected, lastError }: OtherStatus): string {
  if (isConnected) return 'it is connected, and its archive or the one here has not told yet what it has';
  return lastError ?? 'not connected';
}

function isSilent({ silentMs }: OtherStatus): boolean {
  return silentMs === null || silentMs > SILENT_MAX_MS;
}

function isAway(other: OtherStatus): boolean {
  return !other.isConnected && isSilent(other);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
