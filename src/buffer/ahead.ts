import { describeError } from '../domain/errors.ts';
import type { Appender } from './append.ts';
import { nextPlace, type RingCore } from './core.ts';

/** The open segment is this full: the next one is made. */
const SHARE = 0.9;
/** What is left of a smaller segment would be full before the next one is made. */
const SEGMENT_BYTES_MIN = 64 * 1024;

/**
 * Changes to the next segment ahead of need, in steps between which blocks are written: its database is made
 * beside everything else, then it is listed with one sync, then what it cost is deleted. An append that meets
 * a full segment would wait for all of that.
 */
export class SegmentAhead {
  readonly #core: RingCore;
  readonly #appender: Appender;
  readonly #job: (job: () => Promise<void>) => Promise<void>;
  /** The segment behind which the change was tried; once each. */
  #triedAfter = 0;

  constructor(core: RingCore, appender: Appender, job: (job: () => Promise<void>) => Promise<void>) {
    this.#core = core;
    this.#appender = appender;
    this.#job = job;
  }

  /** To be called when blocks were written. */
  look(): void {
    const { open, setup } = this.#core;
    if (open === null || open.number === this.#triedAfter || setup.segmentBytes < SEGMENT_BYTES_MIN) return;
    if (open.bytes < SHARE * setup.segmentBytes) return;
    this.#triedAfter = open.number;
    this.#change(open.number).catch((error: unknown) => {
      // The append that needs the segment meets the same error, or does not.
      setup.options.log.debug({ error: describeError(error) }, 'no segment was made ahead of need');
    });
  }

  async #change(number: number): Promise<void> {
    const core = this.#core;
    await core.setup.stores.prepare(nextPlace(core.setup.meta.state).nextNumber);
    await this.#job(async () => {
      if (core.open?.number !== number) return;
      await core.writing(() => this.#appender.startSegment({ blockBytes: 0, isAhead: true }));
    });
    await this.#job(() => core.writing(() => core.sweep()));
  }
}
