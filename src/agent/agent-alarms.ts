import { QUARANTINE_SHARE } from '../buffer/open-ring.ts';
import { type Alarm, AlarmTable, type Finding } from '../ops/alarms.ts';
import { findingsOf, type ProcessFacts, type StoreFacts } from '../ops/findings.ts';
import type { CertificateStatus } from '../pki/keeper.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { ClassStoreStatus } from './class-store.ts';
import type { InstanceStatus } from './instance.ts';

/** How often the conditions are looked at. */
const LOOK_MS = 1000;

export interface AgentAlarmsOptions {
  readonly instances: () => readonly InstanceStatus[];
  /** `null` without TLS. */
  readonly certificate: () => CertificateStatus | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** Looks at the instances of an agent once a second, and keeps what somebody should know of them. */
export class AgentAlarms {
  readonly #options: AgentAlarmsOptions;
  readonly #table: AlarmTable;
  #timer: Timer | null = null;
  /** Samples that each store had lost at the last look; one for each store of the site file. */
  readonly #lost = new Map<string, number>();
  /** Samples that a Kernel had acknowledged at the last look; one for each process. */
  readonly #delivered = new Map<string, number>();

  constructor(options: AgentAlarmsOptions) {
    this.#options = options;
    this.#table = new AlarmTable(options.log);
  }

  start(): void {
    this.#timer = this.#options.clock.repeat('alarms', LOOK_MS, () => this.#look());
  }

  get standing(): readonly Alarm[] {
    return this.#table.standing;
  }

  get past(): readonly Alarm[] {
    return this.#table.past;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { clock, instances, certificate } = this.#options;
    const findings = instances().flatMap((instance) => findingsOf(this.#factsOf(instance)));
    findings.push(...certificateFindings(certificate()));
    this.#table.update(findings, { monotonicMs: clock.monotonicMs(), wallUs: clock.wallUs() });
  }

  #factsOf(instance: InstanceStatus): ProcessFacts {
    const { process, uplink, alarms, lines, clock, fitness, member } = instance;
    const stores = [this.#storeFacts(process, instance)];
    if (alarms !== null) stores.push(this.#storeFacts(`${process} alarms`, alarms));
    const { kernel, lastError } = uplink;
    const time = { isClockUncertain: clock.state === 'uncertain', kernelAheadUs: clock.kernelAheadUs ?? 0 };
    return {
      name: process,
      stores,
      hasKernel: kernel !== null,
      uplinkError: lastError,
      unansweredSamples: this.#unanswered(instance),
      lines,
      fitness,
      conditions: member?.conditions ?? [],
      ...time,
    };
  }

  /** What an operator holds back is not on its way: such a store is in outage. */
  #unanswered({ process, uplink, alarms, ...main }: InstanceStatus): number {
    const backlogs = [main, ...(alarms === null ? [] : [alarms])].map(({ backlog }) => backlog);
    const delivered = sum(backlogs.map(({ counters }) => counters.deliveredSamples));
    const isAnswered = delivered !== this.#delivered.get(process);
    this.#delivered.set(process, delivered);
    if (isAnswered || uplink.kernel === null) return 0;
    return sum(backlogs.map(({ state, samples }) => (state === 'outage' ? 0 : samples)));
  }

  #storeFacts(name: string, { backlog, pace, overloadCount, powerCut }: ClassStoreStatus): StoreFacts {
    const { ring } = backlog;
    const { evicted, refused } = ring.lostByReason;
    const lost = (evicted ?? 0) + (refused ?? 0);
    const lostSinceLast = Math.max(0, lost - (this.#lost.get(name) ?? lost));
    // A ring that is not open knows of no losses yet.
    if (ring.state !== 'volatile') this.#lost.set(name, lost);
    return {
      name,
      ringState: ring.state,
      lastError: ring.lastError,
      powerCut,
      isInOutage: backlog.state === 'outage',
      fill: ring.unacknowledgedBytes / ring.capacityBytes,
      fullInMs: pace.fullInMs,
      quarantine: ring.quarantineBytes / (ring.capacityBytes * QUARANTINE_SHARE),
      overloadCount,
      lostSinceLast,
    };
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function certificateFindings(certificate: CertificateStatus | null): Finding[] {
  if (certificate === null) return [];
  const { error, warnings } = certificate;
  const texts = [...(error === null ? [] : [error]), ...warnings];
  const level = texts.length > 0 ? 'raise' : 'clear';
  return [{ code: 'certificate', subject: 'certificate', level, text: texts.join('; ') }];
}
