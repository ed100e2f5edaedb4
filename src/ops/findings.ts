import { formatDuration } from '../domain/units.ts';
import type { AlarmCode, Finding } from './alarms.ts';

/** Two thresholds of one figure: an alarm is raised at the first, and over behind the second. */
interface Band {
  readonly raise: number;
  readonly clear: number;
}

/** What a power cut may cost, as a share of `powerCutLossMax`. */
const POWER_CUT: Band = { raise: 1, clear: 0.95 };
/** Share of the capacity that waits to be delivered. */
const FILL: Band = { raise: 0.8, clear: 0.7 };
/** How long the ring still takes an outage, ms. */
const LEFT_MS: Band = { raise: 4 * 3_600_000, clear: 5 * 3_600_000 };
/** Share of the room for what is damaged. */
const QUARANTINE: Band = { raise: 0.9, clear: 0.8 };

/** Between the Kernel's clock and what is stamped, µs. */
const CLOCK_OFF_US: Band = { raise: 1_000_000, clear: 500_000 };

/** What of a store an alarm may be about. */
export interface StoreFacts {
  readonly name: string;
  readonly ringState: 'healthy' | 'degraded' | 'volatile';
  readonly lastError: string | null;
  readonly powerCut: Readonly<Record<'boundMs' | 'configuredMs' | 'writeMs' | 'stallMs', number>>;
  readonly isInOutage: boolean;
  /** Un-acknowledged, as a share of the capacity. */
  readonly fill: number;
  readonly fullInMs: number | null;
  /** As a share of its bound. */
  readonly quarantine: number;
  /** Samples that were not taken in an overload that goes on. */
  readonly overloadCount: number;
  /** Samples evicted or refused since the last look. */
  readonly lostSinceLast: number;
}

type MemberAlarmCode = Extract<
  AlarmCode,
  'peer-silent' | 'isolated' | 'term-not-durable' | 'site-hash-differs' | 'program-version-differs'
>;

/** What of a process an alarm may be about. */
export interface ProcessFacts {
  readonly name: string;
  readonly stores: readonly StoreFacts[];
  readonly hasKernel: boolean;
  readonly uplinkError: string | null;
  /** Samples that wait in a session in which nothing was acknowledged since the last look; else 0. */
  readonly unansweredSamples: number;
  /** Of the time that is stamped: whether something vouches for it, how far off the Kernel's it is, µs. */
  readonly isClockUncertain: boolean;
  readonly kernelAheadUs: number;
  readonly lines: readonly {
    readonly name: string;
    readonly isConnected: boolean;
    readonly lastError: string | null;
    /** `closed`: another instance has it, so it is not missed here. */
    readonly doing: 'closed' | 'standby' | 'active';
  }[];
  /** What of its role somebody should look after. */
  readonly conditions: readonly { readonly code: MemberAlarmCode; readonly text: string }[];
  /** Whether the lines could be taken over; empty where no other server runs the process. */
  readonly fitness: readonly {
    readonly line: string;
    readonly error: string | null;
    readonly isOverdue: boolean;
    readonly provenAgeMs: number | null;
  }[];
}

/** What there is to find of every condition of a process. */
export function findingsOf(process: ProcessFacts): Finding[] {
  const why = (error: string | null): string => (error === null ? '' : `: ${error}`);
  return [
    ...process.stores.flatMap(storeFindings),
    when('kernel-unreachable', process.name, {
      is: !process.hasKernel,
      text: `${process.name} has no session with a Kernel${why(process.uplinkError)}`,
    }),
    when('kernel-acknowledges-nothing', process.name, {
      is: process.unansweredSamples > 0,
      text:
        `the Kernel of ${process.name} is connected and acknowledges nothing: ` +
        `${process.unansweredSamples} samples wait; its archive may take nothing, kom kernel status tells`,
    }),
    when('clock-uncertain', process.name, {
      is: process.isClockUncertain,
      text: `the times of ${process.name} are uncertain until a Kernel tells the time or the clock is set`,
    }),
    within('clock-off', process.name, {
      level: levelAbove(Math.abs(process.kernelAheadUs), CLOCK_OFF_US),
      text: `the times of ${process.name} and the Kernel's differ by ${formatDuration(
        Math.abs(process.kernelAheadUs) / 1000,
      )}`,
    }),
    ...process.lines.map((line) =>
      when('line-down', `${process.name} ${line.name}`, {
        is: !line.isConnected && line.doing !== 'closed',
        text: `line ${line.name} of ${process.name} is not connected${why(line.lastError)}`,
      }),
    ),
    ...process.fitness.flatMap((line) => fitnessFindings(process.name, line)),
    ...process.conditions.map(({ code, text }) =>
      when(code, process.name, { is: true, text: `${process.name}: ${text}` }),
    ),
  ];
}

function fitnessFindings(process: string, fitness: ProcessFacts['fitness'][number]): Finding[] {
  const { line, error, isOverdue, provenAgeMs } = fitness;
  const since = provenAgeMs === null ? 'since the start' : `for ${formatDuration(provenAgeMs)}`;
  return [
    when('standby-unfit', `${process} ${line}`, {
      is: error !== null,
      text: `the standby of ${process} could not take over line ${line}: ${error}`,
    }),
    when('standby-untested', `${process} ${line}`, {
      is: isOverdue,
      text: `nothing proved ${since} that the standby of ${process} could take over line ${line}`,
    }),
  ];
}

function storeFindings(store: StoreFacts): Finding[] {
  const { name, powerCut, fill, fullInMs, isInOutage } = store;
  const { boundMs, configuredMs, writeMs, stallMs } = powerCut;
  const leftMs = isInOutage ? (fullInMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  return [
    within('power-cut-bound', name, {
      level: boundMs === configuredMs ? 'keep' : levelAbove(boundMs / configuredMs, POWER_CUT),
      text:
        `a power cut may cost ${name} ${formatDuration(boundMs)} of the ${formatDuration(configuredMs)} ` +
        `of powerCutLossMax: within the hour a write took ${formatDuration(writeMs)}, and the process was ` +
        `held up for ${formatDuration(stallMs)}`,
    }),
    when('ring-not-durable', name, {
      is: store.ringState !== 'healthy',
      text: `the ring of ${name} is ${store.ringState}: ${store.lastError ?? 'the disk takes no write'}`,
    }),
    when('overload', name, {
      is: store.overloadCount > 0,
      text: `${name} has no room: ${store.overloadCount} samples were not taken`,
    }),
    when('losing-samples', name, {
      is: store.lostSinceLast > 0,
      text: `the full ring of ${name} loses samples that no Kernel has`,
    }),
    within('buffer-filling', name, {
      level: levelAbove(fill, FILL),
      text: `${(fill * 100).toFixed(0)} % of the ring of ${name} wait to be delivered`,
    }),
    within('buffer-full-soon', name, {
      level: levelAbove(-leftMs, { raise: -LEFT_MS.raise, clear: -LEFT_MS.clear }),
      text: `the ring of ${name} is full in ${formatDuration(fullInMs ?? 0)} if the outage goes on`,
    }),
    within('quarantine-full', name, {
      level: levelAbove(store.quarantine, QUARANTINE),
      text: `the quarantine of ${name} is full; look at it, then delete it`,
    }),
  ];
}

function levelAbove(figure: number, { raise, clear }: Band): Finding['level'] {
  if (figure >= raise) return 'raise';
  return figure > clear ? 'keep' : 'clear';
}

function when(code: AlarmCode, subject: string, { is, text }: { is: boolean; text: string }): Finding {
  return within(code, subject, { level: is ? 'raise' : 'clear', text });
}

function within(code: AlarmCode, subject: string, found: Pick<Finding, 'level' | 'text'>): Finding {
  return { code, subject, ...found };
}
