import { describeError, isKomError } from '../../domain/errors.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Presence } from '../presence.ts';

/** Who sent something so shortly before a Kernel became hot was there, µs. */
const RECENT_US = 600e6;
/** An agent has so long to come: it may have been waiting for a link. */
const PATIENCE_MS = 60_000;
/** An archive that did not say who there was is asked again after so long, when somebody wants to know. */
const RETRY_MS = 1000;

interface Process {
  readonly site: string;
  readonly process: string;
}

export interface MissingAgentsOptions {
  readonly archive: Pick<Archive, 'tags' | 'streams'>;
  readonly presence: Pick<Presence, 'all'>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Processes that sent values to the Kernel that was hot before, and nothing to this one since it is: their
 * site file may not name it.
 */
export class MissingAgents {
  readonly #options: MissingAgentsOptions;
  #beganMs = 0;
  /** Who sent something since then was there, by the wall clock. */
  #sinceUs = 0;
  /** When the archive did not say who there was, the last time; `null`: it was not so. */
  #failedMs: number | null = null;
  #expected: readonly Process[] = [];

  constructor(options: MissingAgentsOptions) {
    this.#options = options;
  }

  /** As `site/process`. */
  get names(): string[] {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#failedMs !== null && nowMs - this.#failedMs >= RETRY_MS) this.#ask();
    const reignMs = nowMs - this.#beganMs;
    if (reignMs < PATIENCE_MS) return [];
    const come = new Set(
      this.#options.presence.all().flatMap((each) => (each.status.silentMs <= reignMs ? [nameOf(each)] : [])),
    );
    return this.#expected.map(nameOf).filter((name) => !come.has(name));
  }

  /** This Kernel is hot from now on. */
  began(): void {
    const { clock } = this.#options;
    this.#beganMs = clock.monotonicMs();
    this.#sinceUs = clock.wallUs() - RECENT_US;
    this.#failedMs = null;
    this.#expected = [];
    this.#ask();
  }

  #ask(): void {
    const { clock, log } = this.#options;
    const beganMs = this.#beganMs;
    const isFirst = this.#failedMs === null;
    this.#failedMs = null;
    this.#expect()
      .then((expected) => {
        if (this.#beganMs !== beganMs) return;
        this.#expected = expected;
        if (!isFirst) log.info({}, 'it is known now which agents there were before this Kernel was hot');
      })
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
        if (this.#beganMs !== beganMs) return;
        this.#failedMs = clock.monotonicMs();
        const fields = { error: describeError(error) };
        const what = 'it is not known yet which agents there were before this Kernel was hot';
        log[isFirst ? 'warn' : 'debug'](fields, what);
      });
  }

  async #expect(): Promise<Process[]> {
    const { archive } = this.#options;
    const sinceUs = this.#sinceUs;
    const processes = new Map((await archive.tags()).map((tag) => [nameOf(tag), tag]));
    const expected: Process[] = [];
    for (const { site, process } of processes.values()) {
      const streams = await archive.streams(site, process);
      const runs = streams.some((each) => each.endedAtUs === null && each.observedUntilUs > sinceUs);
      if (runs) expected.push({ site, process });
    }
    return expected;
  }
}

function nameOf({ site, process }: Process): string {
  return `${site}/${process}`;
}
