import { type Moment, observe } from './observe.ts';
import type { Stage } from './stage.ts';
import type { View } from './view.ts';

const LOOK_MS = 200;
const ONLINE_MS = 3500;
const OUTAGE_MS = 10_000;
/** Within the outage a station is unplugged for a while, so that there is a time gap to declare. */
const UNPLUG_AFTER_MS = 2500;
const UNPLUG_MS = 3500;
/** The link comes back as a slow one, so that the draining can be watched. */
const SLOW_LINK_BYTES_PER_S = 25_000;
const DRAIN_MAX_MS = 8000;
const AFTER_MS = 1500;
/** What was served until then must be archived; this long it may take. */
const SETTLE_MS = 2500;

/** What came out of the story, besides the proof. */
export interface StoryResult {
  readonly moments: readonly Moment[];
  readonly outageMs: number;
  readonly backlogPeakSamples: number;
  readonly ringPeakBytes: number;
  readonly drainMs: number;
  /** From healing the link until a live value of the present was at the Kernel; `null` if it never was. */
  readonly liveAfterMs: number | null;
  /** Samples still in the backlog at that time. */
  readonly backlogWhenLive: number;
  /** The proof covers what was served until then, integer µs. */
  readonly untilUs: number;
  readonly unpluggedStation: string;
}

/** Watches the stage and remembers; the demo's clock. */
export class Watch {
  readonly moments: Moment[] = [];
  readonly #stage: Stage;
  readonly #view: View;
  readonly #startMs: number;

  constructor(stage: Stage, view: View) {
    this.#stage = stage;
    this.#view = view;
    this.#startMs = stage.world.clock.monotonicMs();
  }

  get nowMs(): number {
    return this.#stage.world.clock.monotonicMs() - this.#startMs;
  }

  /** One look, kept and shown. */
  async look(): Promise<Moment> {
    const moment = await observe(this.#stage, this.nowMs);
    this.moments.push(moment);
    this.#view.show(moment);
    return moment;
  }

  /** Looks again and again for a time, or until something holds. */
  async lookFor(ms: number, until: (moment: Moment) => boolean = () => false): Promise<Moment> {
    const endMs = this.nowMs + ms;
    while (true) {
      const moment = await this.look();
      if (until(moment) || this.nowMs >= endMs) return moment;
      await this.#stage.world.clock.sleep(Math.min(LOOK_MS, Math.max(0, endMs - this.nowMs)));
    }
  }
}

/** Online, cut, restored, drained: the demo without keys. */
export async function tellStory(stage: Stage, view: View): Promise<StoryResult> {
  const watch = new Watch(stage, view);
  view.scene('1  Online: values go straight to the Kernel, the ring stays empty');
  await watch.lookFor(ONLINE_MS);
  const unpluggedStation = stationToUnplug(stage);
  const cutMs = watch.nowMs;
  stage.cable.cut();
  view.scene('2  The uplink is cut: samples go to the LevelDB ring');
  await watch.lookFor(UNPLUG_AFTER_MS);
  stage.plant.unplug(unpluggedStation, true);
  view.scene(
    `2  The uplink is cut, and now ${unpluggedStation} is unplugged for ${UNPLUG_MS / 1000} s as well`,
  );
  await watch.lookFor(UNPLUG_MS);
  stage.plant.unplug(unpluggedStation, false);
  view.scene(`2  The uplink is cut: samples go to the LevelDB ring; ${unpluggedStation} is back`);
  await watch.lookFor(OUTAGE_MS - (watch.nowMs - cutMs));
  const healedMs = watch.nowMs;
  stage.cable.heal(SLOW_LINK_BYTES_PER_S);
  view.scene('3  The link is back, as a slow one (200 kbit/s): backlog in order, live values ahead of it');
  const isLive = ({ liveAgeMs }: Moment): boolean => liveAgeMs !== null && liveAgeMs < 1000;
  const live = await watch.lookFor(DRAIN_MAX_MS, isLive);
  const liveAfterMs = isLive(live) ? watch.nowMs - healedMs : null;
  // Fewer than a block's worth is the ordinary traffic of a connected agent.
  await watch.lookFor(DRAIN_MAX_MS, ({ state, ringSamples }) => state === 'online' && ringSamples === 0);
  const drainedMs = watch.nowMs;
  stage.cable.heal();
  view.scene('4  Online again');
  await watch.lookFor(AFTER_MS);
  const untilUs = stage.world.clock.wallUs();
  view.scene('5  Letting the last values arrive, then the proof');
  await watch.lookFor(SETTLE_MS);
  const { moments } = watch;
  return {
    moments,
    outageMs: Math.round(healedMs - cutMs),
    backlogPeakSamples: Math.max(...moments.map(({ backlogSamples }) => backlogSamples)),
    ringPeakBytes: Math.max(...moments.map(({ ringBytes }) => ringBytes)),
    drainMs: Math.round(drainedMs - healedMs),
    liveAfterMs: liveAfterMs === null ? null : Math.round(liveAfterMs),
    backlogWhenLive: live.backlogSamples,
    untilUs,
    unpluggedStation,
  };
}

/** A station of the first Modbus line that is not its first one, so that its line goes on. */
export function stationToUnplug(stage: Stage): string {
  const line =
    stage.plant.lines.find((each) => each.line.driver === 'modbus')?.line ?? stage.plant.lines[0]?.line;
  return line?.stations[2]?.name ?? line?.stations[0]?.name ?? '';
}
