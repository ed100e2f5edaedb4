import type { Archive } from '../../src/world/archive.ts';
import { KernelsWorld, type Name } from './kernels-world.ts';
import { SiteAgent } from './site-agent.ts';

export const HOUR_MS = 3_600_000;
/** Each time a third of the tags has changed. */
const STEP_MS = 20_000;
const TAGS_EACH = 100;

export interface AbsenceOptions {
  readonly names: readonly Name[];
  readonly ringBytes: number;
  /** The processes of the site; `P` has two instances. */
  readonly processes: readonly ('P' | 'Q' | 'R')[];
}

/** Something that happens so many hours after the day began. */
type Happening = readonly [atHours: number, of: 'P' | 'Q' | 'R' | 'A', what: () => void | Promise<void>];

/**
 * Kernels, and a site of 100 tags a process. Standbys are away for hours and days in which the site has all
 * that a site has: outages of links and processes, a takeover, late data, times that were not observed, a
 * changed configuration, a corrected clock, a restart of the hot Kernel.
 */
export class LongAbsence {
  readonly world: KernelsWorld;
  readonly #options: AbsenceOptions;
  readonly #agents: Readonly<Record<'p1' | 'p2' | 'q' | 'r', SiteAgent>>;
  /** A process that gives no values now. */
  readonly #silent = new Set<SiteAgent>();
  #hours = 0;

  private constructor(options: AbsenceOptions) {
    this.#options = options;
    this.world = new KernelsWorld({ ringBytes: options.ringBytes, names: options.names });
    const agent = (host: string, process: string, instance = 1) =>
      new SiteAgent({ host, process, instance, tags: TAGS_EACH }, this.world, options.names);
    this.#agents = { p1: agent('p1', 'P'), p2: agent('p2', 'P', 2), q: agent('q', 'Q'), r: agent('r', 'R') };
  }

  /** All Kernels have everything. */
  static async begin(options: AbsenceOptions): Promise<LongAbsence> {
    const absence = new LongAbsence(options);
    const { world } = absence;
    for (const name of world.names) await world.startKernel(name);
    await world.until('a hot Kernel', () => world.status('A').takesSessions);
    const { p1, p2, q, r } = absence.#agents;
    const of = { P: [p1, p2], Q: [q], R: [r] };
    for (const process of options.processes) for (const each of of[process]) await each.start();
    absence.#silent.add(p2);
    if (p1.isAlive) p1.store.termChanged(31);
    await absence.live(60_000);
    await world.until('the set', () => world.status('A').inSync.length === options.names.length);
    return absence;
  }

  /** A machine is gone. */
  leave(name: Name): void {
    this.world.network.switchOff(name, true);
    this.world.kill(name);
  }

  async comeBack(name: Name): Promise<void> {
    this.world.network.switchOff(name, false);
    await this.world.startKernel(name);
  }

  get agents(): SiteAgent[] {
    return Object.values(this.#agents).filter(({ isAlive }) => isAlive);
  }

  /** The site goes on for a time. */
  async live(forMs: number, stepMs = STEP_MS): Promise<void> {
    const { clock } = this.world;
    for (const endMs = clock.monotonicMs() + forMs; clock.monotonicMs() < endMs; ) {
      for (const agent of this.agents) if (!this.#silent.has(agent)) agent.change();
      await clock.advance(stepMs);
    }
  }

  /** All that happens until so many hours after it began. */
  async passUntil(hours: number): Promise<void> {
    for (const [atHours, of, what] of this.#happenings()) {
      if (atHours < this.#hours || atHours >= hours) continue;
      await this.#liveUntil(atHours);
      if (of === 'A' || this.#options.processes.includes(of)) await what();
    }
    await this.#liveUntil(hours);
  }

  async #liveUntil(hours: number): Promise<void> {
    await this.live((hours - this.#hours) * HOUR_MS);
    this.#hours = hours;
  }

  #happenings(): Happening[] {
    const { p1, p2, q, r } = this.#agents;
    const { network } = this.world;
    const cut = (host: string) => network.cut(host, 'A', 'hang');
    const heal = (host: string) => network.heal(host, 'A');
    return [
      // An agent cannot reach its Kernel for an hour.
      [0.5, 'P', () => cut('p1')],
      [1, 'P', () => heal('p1')],
      [1.5, 'Q', () => q.kill()],
      [1.55, 'Q', () => q.start()],
      [1.75, 'R', () => r.notObserved('station-down', 240_000)],
      [1.8, 'R', () => r.notObserved('overload', 30_000)],
      [1.85, 'Q', () => q.changeLate(HOUR_MS)],
      // The other instance takes over from one that cannot know it: both collect for a while.
      [2, 'P', () => cut('p1')],
      [2.05, 'P', () => this.#takeOver(p2, 47)],
      [2.15, 'P', () => void this.#silent.add(p1)],
      [2.2, 'P', () => heal('p1')],
      [3, 'P', () => p1.kill()],
      [3.1, 'R', () => r.kill()],
      [3.11, 'R', () => r.start(2)],
      [3.2, 'A', () => this.world.kill('A')],
      [3.225, 'A', () => this.world.startKernel('A')],
      [3.5, 'R', () => cut('r')],
      [3.6, 'R', async () => void (await this.world.resolve(r.dropBacklog()))],
      [3.65, 'R', () => heal('r')],
      [4, 'R', () => r.correctClock(1_500_000, 300)],
      [4.5, 'P', () => p2.notObserved('station-off', 600_000)],
    ];
  }

  #takeOver(agent: SiteAgent, term: number): void {
    this.#silent.delete(agent);
    agent.store.termChanged(term);
    agent.notObserved('takeover', 2000);
  }
}

/** What an archive tells of everything, but for when each row came there. */
export async function toldOf(archive: Archive) {
  const always = { site: 'S', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER };
  const tags = await archive.tags('S');
  const ofTags = await Promise.all(
    tags.map(async ({ name: tag }) => {
      const rows = await archive.samples({ ...always, tag, limit: 10_000_000, withMarked: true });
      return {
        tag,
        samples: rows.map(({ receivedAtUs: _, ...row }) => row),
        gaps: await archive.gaps({ ...always, tag }),
      };
    }),
  );
  return { tags, ofTags, streams: await streamsOf(archive) };
}

/** Of all processes, with coverage; up to when they were observed a standby hears later. */
async function streamsOf(archive: Archive) {
  const streams = [];
  for (const process of ['P', 'Q', 'R']) {
    for (const { observedUntilUs: _, ...stream } of await archive.streams('S', process)) streams.push(stream);
  }
  return streams;
}

/** How long it is at most that something waits for its acknowledgement while others go on, milliseconds. */
export class AckWatch {
  readonly #produced = new Map<SiteAgent, { readonly atMs: number; readonly through: number }[]>();
  longestMs = 0;

  look(agents: readonly SiteAgent[], nowMs: number): void {
    for (const agent of agents) {
      const through = agent.store.source.producedTo();
      const acked = through - agent.waiting;
      const list = this.#produced.get(agent) ?? [];
      if (list.at(-1)?.through !== through) list.push({ atMs: nowMs, through });
      const open = list.filter((each) => each.through > acked);
      this.#produced.set(agent, open);
      this.longestMs = Math.max(this.longestMs, nowMs - (open[0]?.atMs ?? nowMs));
    }
  }
}
