import { AGENT_HOST } from './agent-host.ts';
import { readEvidence } from './evidence.ts';
import type { CommitMoment } from './kernel-host.ts';
import type { Swarm } from './options.ts';
import { KERNEL_HOST } from './site.ts';
import { type Fate, type Side, type Step, Steps } from './steps.ts';
import { check } from './verdict.ts';
import { makeWorld, settle, type World } from './world.ts';

/*
 * One small history with everything that the protocol has, interrupted at one place, and then at the next:
 * the places are enumerated, not drawn.
 */

/** What happens to the message that is number `at` of the whole history, counted from 1. */
export const MESSAGE_TROUBLES = [
  /** The link breaks before it is delivered. */
  'cut-before',
  /** The first half is delivered, then the link breaks. */
  'cut-within',
  /** It is delivered, and nothing that the other side says to it. */
  'cut-behind',
  /** It is delivered, then packets vanish for longer than silence is borne. */
  'hang-behind',
  /** The Kernel's process dies before it is delivered. */
  'kernel-crash',
  /** The agent gets a SIGKILL before it is delivered. */
  'agent-kill',
] as const;
export type MessageTrouble = (typeof MESSAGE_TROUBLES)[number];

export type Trouble =
  | { readonly at: number; readonly message: MessageTrouble }
  /** The Kernel's process dies at a transaction of the archive. */
  | { readonly at: number; readonly commit: CommitMoment }
  /** The agent gets a SIGKILL before it changes something on its disk. */
  | { readonly at: number; readonly write: 'agent-kill' | 'power-cut' };

/** Where the history can be interrupted, before it is left to come right. */
export interface Places {
  /** The messages, in the order in which the sides handed them over. */
  readonly steps: readonly Step[];
  /** Transactions of the archive. */
  readonly commits: number;
  /** Changing operations of the agent's disk. */
  readonly writes: number;
}

export interface InterruptedResult extends Places {
  readonly findings: readonly string[];
  /** Reasons of the gaps in the archive. */
  readonly reasons: readonly string[];
}

const SEED = 1;
const RESTART_MS = 200;
/** Within this time what was handed over before a cut has arrived. */
const DELIVERY_MS = 150;
const HANG_MS = 4000;

/** A ring so small that the outage at the start evicts, and a link so slow that catching up takes a while. */
const SWARM: Swarm = {
  ...{ faults: new Set(), faultEveryMs: 1000, runMs: 0, policy: 'on-outage', whenFull: 'drop-oldest' },
  ...{ capacityBytes: 64 * 1024, windowBytes: 64 * 1024, blockAgeMs: 200, spillAgeMs: 300 },
  ...{ aliveMarkMs: 500, reportAtLeastEveryMs: 600_000, syncMs: { min: 1, max: 1 } },
  ...{
    latencyMs: 2,
    bytesPerSecond: 80_000,
    commitMs: 4,
    alarmShare: 0,
    liveIntervalMs: 200,
    cloneInstance: 1,
    clockMode: 'system',
    hasRealTimeClock: true,
    pair: null,
    kernels: null,
    shared: null,
  },
  lines: [
    {
      ...{ name: 'L1', kind: 'poll', publishMs: 100, keepAliveMs: 1000 },
      stations: [{ name: 'P11', periodMs: 100, scanMs: 100, noteBytes: 6000 }],
    },
  ],
};

/** Runs the history with one interruption, or with none, to its verdict. */
export async function runInterrupted(trouble: Trouble | null): Promise<InterruptedResult> {
  const findings: string[] = [];
  const find = (text: string) => findings.push(text);
  const steps = new Steps();
  const world = makeWorld({ seed: SEED, swarm: SWARM, failed: (error) => find(String(error)), ...steps });
  const counts = interrupt(world, steps, trouble);
  const stray = (error: unknown) => find(`unexpected: ${String(error)}`);
  process.on('unhandledRejection', stray);
  let reasons: readonly string[] = [];
  let places: Places = { steps: [], commits: 0, writes: 0 };
  try {
    await live(world);
    places = { steps: [...steps.seen], ...counts };
    await heal(world, trouble);
    await check(world, find);
    const { gapsOfTag } = await readEvidence(world.archive, ['P11']);
    reasons = [...new Set(gapsOfTag.flat().map(({ reason }) => reason))].sort();
  } catch (error) {
    find(`unexpected: ${String(error)}`);
  } finally {
    process.off('unhandledRejection', stray);
  }
  return { findings, ...places, reasons };
}

/** Two runs without a Kernel, a third one until the backlog is gone, and a fourth one. */
async function live(world: World): Promise<void> {
  const { clock, agent, kernel } = world;
  const restart = async () => {
    agent.stop();
    await clock.advance(RESTART_MS);
    agent.startWhenStopped();
  };
  agent.start();
  await clock.advance(1500);
  await restart();
  await clock.advance(1500);
  await restart();
  await clock.advance(300);
  kernel.start();
  await clock.advance(2500);
  await restart();
  await clock.advance(700);
}

/** What was broken is whole again, and comes right. */
async function heal(world: World, trouble: Trouble | null): Promise<void> {
  const isHanging = trouble !== null && 'message' in trouble && trouble.message === 'hang-behind';
  await world.clock.advance(isHanging ? HANG_MS + RESTART_MS : 2 * RESTART_MS);
  await settle(world);
}

interface Counts {
  commits: number;
  writes: number;
}

/** Counts the places, and makes the trouble at its place. */
function interrupt(world: World, steps: Steps, trouble: Trouble | null): Counts {
  const { kernel, agent, clock } = world;
  const { disks } = agent;
  const counts: Counts = { commits: 0, writes: 0 };
  const later = (ms: number, run: () => void) => clock.schedule('trouble', ms, run);
  const crash = () => {
    kernel.crash();
    later(RESTART_MS, () => {
      if (!kernel.isRunning) kernel.start();
    });
  };
  const kill = (how: 'agent-kill' | 'power-cut') => {
    if (how === 'agent-kill') agent.kill();
    else agent.cutPower();
    later(RESTART_MS, () => agent.startWhenStopped());
  };
  steps.onStep = (number, step) => {
    if (trouble === null || !('message' in trouble) || number !== trouble.at) return 'sent';
    if (trouble.message === 'kernel-crash') crash();
    else if (trouble.message === 'agent-kill') kill('agent-kill');
    else return disturb(world, steps, { how: trouble.message, from: step.from });
    return 'never';
  };
  kernel.onCommit = (when) => {
    if (when === 'before') counts.commits += 1;
    if (trouble === null || !('commit' in trouble)) return;
    if (counts.commits !== trouble.at || when !== trouble.commit) return;
    // What the process does with the answer, it does before it dies.
    if (when === 'after') later(0, crash);
    else crash();
  };
  for (const disk of disks.values()) {
    disk.beforeOperation = () => {
      counts.writes += 1;
      if (trouble !== null && 'write' in trouble && counts.writes === trouble.at) kill(trouble.write);
    };
  }
  return counts;
}

type LinkTrouble = Exclude<MessageTrouble, 'kernel-crash' | 'agent-kill'>;

/** Breaks the link around one message; says what becomes of that. */
function disturb(world: World, steps: Steps, { how, from }: { how: LinkTrouble; from: Side }): Fate {
  const { network, clock } = world;
  const later = (ms: number, run: () => void) => clock.schedule('trouble', ms, run);
  const cut = () => {
    network.cut(AGENT_HOST, KERNEL_HOST, 'reset');
    steps.muted.clear();
    later(RESTART_MS, () => network.heal(AGENT_HOST, KERNEL_HOST));
  };
  if (how === 'cut-before') {
    cut();
    return 'never';
  }
  if (how === 'hang-behind') {
    later(DELIVERY_MS, () => {
      network.cut(AGENT_HOST, KERNEL_HOST, 'hang');
      later(HANG_MS, () => network.heal(AGENT_HOST, KERNEL_HOST));
    });
    return 'sent';
  }
  if (how === 'cut-behind') steps.muted.add(from === 'agent' ? 'kernel' : 'agent');
  later(DELIVERY_MS, cut);
  return how === 'cut-within' ? 'half' : 'sent';
}
