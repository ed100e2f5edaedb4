import type { AgentRun } from './agent-host.ts';
import type { Find } from './checkers.ts';
import type { Evidence } from './evidence.ts';
import type { Swarm } from './options.ts';
import { shareOf } from './parts.ts';

/** On the disk an entry takes not more, alone in its block and with its part of the dictionaries. */
const ENTRY_BYTES_MAX = 700;
/** Of the ring of alarms so much may be filled by alarms before one of them has to go. */
const FILL_MAX = 0.7;

export interface ReservedContext {
  readonly runs: readonly AgentRun[];
  readonly swarm: Swarm;
  readonly evidence: Evidence;
  readonly find: Find;
}

/** However much the other tags say, no alarm gives way before alarms alone fill what is kept for them. */
export function checkReserved({ runs, swarm, evidence, find }: ReservedContext): void {
  const streams = runs.flatMap(({ streamIds }) => streamIds.get('alarms') ?? []);
  const numbers = streams.reduce((sum, id) => sum + (evidence.streams.get(id)?.rows.length ?? 0), 0);
  const lost = evidence.gapsOfTag
    .flat()
    .filter((gap) => gap.kind === 'sequence' && streams.includes(gap.streamId))
    .filter(({ reason }) => reason === 'evicted' || reason === 'refused');
  const [gap] = lost;
  if (gap?.kind !== 'sequence') return;
  const share = shareOf('alarms', swarm.alarmShare);
  const filledBytes = (numbers + gap.lastSequence) * ENTRY_BYTES_MAX;
  if (filledBytes > FILL_MAX * share * swarm.capacityBytes) return;
  find(
    `stream ${gap.streamId.slice(0, 8)}: alarms were pushed out (${gap.reason}) of a ring ` +
      `that they fill to ${filledBytes} bytes at most`,
  );
}
