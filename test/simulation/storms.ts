import type { AgentHost } from './agent-host.ts';
import type { Find } from './checkers.ts';
import type { Evidence } from './evidence.ts';
import type { Fault, Swarm } from './options.ts';
import { partsOf, shareOf } from './parts.ts';

/** So many records of gaps one event may leave in a stream: a fault, its end, a start. */
const RECORDS_PER_EVENT = 8;
const QUARANTINE_DIRECTORIES_MAX = 4;
const QUARANTINE_SHARE = 0.2;
/** Reasons that have no event: a ring that is full goes on being full. */
const STEADY_REASONS: readonly string[] = ['evicted', 'refused', 'overload'];

export interface StormContext {
  readonly agents: readonly AgentHost[];
  readonly faults: { readonly counts: Readonly<Partial<Record<Fault, number>>> };
  readonly swarm: Swarm;
  readonly evidence: Evidence;
  readonly find: Find;
}

/** What goes wrong once is declared a few times, and not over and over. */
export function checkStorms({ agents, faults, swarm, evidence, find }: StormContext): void {
  const made = Object.values(faults.counts).reduce((sum, count) => sum + count, 0);
  const starts = agents.reduce((sum, { runs }) => sum + runs.length, 0);
  const recordsMax = RECORDS_PER_EVENT * (made + starts + 1) * partsOf(swarm.alarmShare).length;
  for (const [tagIndex, gaps] of evidence.gapsOfTag.entries()) {
    const byReason = new Map<string, number>();
    for (const { reason } of gaps) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
    for (const [reason, count] of byReason) {
      if (STEADY_REASONS.includes(reason) || count <= recordsMax) continue;
      find(`tag ${tagIndex} has ${count} gaps (${reason}) after ${made} faults and ${starts} starts`);
    }
  }
}

/** What could not be used is kept for a while, within bounds. */
export function checkQuarantine({ agents, swarm, find }: Omit<StormContext, 'evidence' | 'faults'>): void {
  for (const agent of agents) {
    for (const [part, disk] of agent.disks) {
      const kept = disk.names.filter((name) => name.startsWith('quarantine/'));
      const values = kept.flatMap((name) => disk.keys(name).map((key) => disk.value(name, key)?.length ?? 0));
      const bytes = values.reduce((sum, each) => sum + each, 0);
      const bytesMax = QUARANTINE_SHARE * shareOf(part, swarm.alarmShare) * swarm.capacityBytes;
      if (kept.length > QUARANTINE_DIRECTORIES_MAX || bytes > bytesMax)
        find(`the quarantine of ${part} has ${kept.length} directories and ${bytes} bytes`);
    }
  }
}
