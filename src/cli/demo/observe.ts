import type { Stage } from './stage.ts';

/** What the demo shows of one moment. */
export interface Moment {
  /** Since the beginning of the demo, milliseconds. */
  readonly atMs: number;
  readonly isCut: boolean;
  readonly isKernelUp: boolean;
  /** State of the uplink as the agent tells it; `null` while it does not answer. */
  readonly state: 'outage' | 'catch-up' | 'online' | null;
  /** Samples held and not acknowledged. */
  readonly backlogSamples: number;
  /** Those of them that are in the ring. */
  readonly ringSamples: number;
  readonly ringBytes: number;
  readonly ringSegments: number;
  /** Values that the simulators served so far, by their own record. */
  readonly servedValues: number;
  /** Age of the newest live value at the Kernel, milliseconds; `null` while there is none. */
  readonly liveAgeMs: number | null;
  /** Tags with a live value at the Kernel. */
  readonly liveTags: number;
  readonly linesDown: readonly string[];
}

/** Looks at everything from outside, through the control sockets. */
export async function observe(stage: Stage, atMs: number): Promise<Moment> {
  const [agent, live] = await Promise.all([stage.agentStatus(), stage.live()]);
  const nowUs = stage.world.clock.wallUs();
  const newestUs = live.reduce((newest, { sourceTimeUs }) => Math.max(newest, sourceTimeUs), 0);
  const instance = agent?.instances[0];
  return {
    atMs,
    isCut: stage.cable.isCut,
    isKernelUp: stage.isKernelUp,
    state: instance?.backlog.state ?? null,
    backlogSamples: instance?.backlog.samples ?? 0,
    ringSamples: instance?.backlog.ring.unacknowledgedSamples ?? 0,
    ringBytes: instance?.backlog.ring.diskBytes ?? 0,
    ringSegments: instance?.backlog.ring.segments ?? 0,
    servedValues: stage.served.length,
    liveAgeMs: live.length === 0 ? null : Math.max(0, (nowUs - newestUs) / 1000),
    liveTags: live.length,
    linesDown: (instance?.lines ?? []).filter(({ isConnected }) => !isConnected).map(({ name }) => name),
  };
}
