import { describeError } from '../domain/errors.ts';
import type { Timer } from '../world/clock.ts';
import type { RingCore } from './core.ts';
import { isSmallBlocked, Reblocking } from './reblocking.ts';
import { type SegmentFacts, segmentName } from './segment.ts';

/** Read, taken apart and joined in one go: about a millisecond of the event loop. */
const SLICE_BYTES = 4096;
/** Between two slices: the event loop and the queue of the ring are there for others. */
const PAUSE_MS = 20;
/** Written and synced in one go: an append that comes meanwhile waits for no more than that. */
const WRITE_BYTES = 64 * 1024;

/**
 * Makes full blocks of the small ones of a segment that was just sealed, in a directory of its own that takes
 * the place of the segment with one batch of meta. One segment at a time, in small jobs between which
 * everything else goes on. Whatever goes wrong, the segment stays as it is and what there is of the copy is
 * deleted; it is not tried again.
 */
export class Reblocker {
  readonly #core: RingCore;
  readonly #job: <T>(job: () => Promise<T>) => Promise<T>;
  #pause: Timer | null = null;

  constructor(core: RingCore, job: <T>(job: () => Promise<T>) => Promise<T>) {
    this.#core = core;
    this.#job = job;
  }

  /**
   * To be asked when a segment is sealed, before its database is closed: whether it is kept open, so that
   * `start` can read it. What was under way ends. Call within `writing`.
   */
  async keeps(sealed: SegmentFacts): Promise<boolean> {
    const { disk, options, segmentBytes, stores, meta } = this.#core.setup;
    this.#core.reblocking = null;
    const { streamId } = this.#core.current.info;
    // What another run wrote was read from its log when the ring was opened, and written to a table.
    const isOfThisRun = sealed.runs.every((run) => run.streamId === streamId);
    const isFree = meta.state.segments.every(({ number }) => number !== sealed.number + 1);
    if (!isOfThisRun || !isFree || !isSmallBlocked(sealed)) return false;
    const neededBytes = options.freeDiskFloorBytes + 2 * segmentBytes;
    return (await disk.freeBytes()) >= neededBytes && (await stores.keepWriter(sealed.number));
  }

  /** The segment is sealed, durably, and what it may become is listed as a segment to be deleted. */
  start(sealed: SegmentFacts): void {
    const reblocking = new Reblocking(sealed, this.#core.setup.meta.state);
    this.#core.reblocking = reblocking;
    void this.#run(reblocking);
  }

  /** Nothing of it happens any more. */
  stop(): void {
    this.#core.reblocking = null;
    this.#pause?.cancel();
  }

  async #run(reblocking: Reblocking): Promise<void> {
    const { log } = this.#core.setup.options;
    const { source, target } = reblocking;
    try {
      const isCopied = await this.#copy(reblocking);
      const swap = () => this.#core.writing(() => this.#swap(reblocking));
      const isJoined = isCopied && (await this.#job(swap));
      log.debug({ source, target, isJoined }, 'small blocks were to be joined');
    } catch (error) {
      log.debug({ source, target, error: describeError(error) }, 'the blocks of a segment stay as they are');
    }
    if (this.#core.reblocking === reblocking) this.#core.reblocking = null;
    await this.#job(() => this.#tidy(reblocking)).catch((error: unknown) => {
      log.debug({ source, target, error: describeError(error) }, 'nothing was tidied up behind a segment');
    });
  }

  /** True: everything is in the copy, durably. False: it does not pay, or somebody ended it. */
  async #copy(reblocking: Reblocking): Promise<boolean> {
    const { stores } = this.#core.setup;
    const { target } = reblocking;
    if (!reblocking.isWorthwhile) return false;
    for (let isEnd = false; !isEnd; ) {
      await this.#nextTurn();
      isEnd = await this.#job(() => this.#slice(reblocking));
      if (this.#core.reblocking !== reblocking) return false;
      if (!isEnd && reblocking.pendingBytes < WRITE_BYTES) continue;
      if (!reblocking.isWorthwhile) return false;
      if (stores.copy(target) === undefined) await stores.openCopy(target);
      await this.#job(() => this.#write(reblocking));
    }
    return this.#core.reblocking === reblocking;
  }

  /** True: that was the last one. */
  async #slice(reblocking: Reblocking): Promise<boolean> {
    if (this.#core.reblocking !== reblocking) return true;
    const store = this.#core.setup.stores.kept(reblocking.source);
    if (store === undefined) {
      this.#core.reblocking = null;
      return true;
    }
    const records = await store.read({ gt: reblocking.after, limitBytes: SLICE_BYTES });
    reblocking.take(records);
    if (records.length === 0) reblocking.finish();
    return records.length === 0;
  }

  async #write(reblocking: Reblocking): Promise<void> {
    const { stores, syncTimes } = this.#core.setup;
    const store = await stores.copy(reblocking.target);
    if (this.#core.reblocking !== reblocking || store === undefined) return;
    const writes = reblocking.takePending();
    await syncTimes.measure(writes, () => store.batch(writes, { sync: true }));
  }

  /** The copy takes the place of the segment, which is deleted from then on. */
  async #swap(reblocking: Reblocking): Promise<boolean> {
    const core = this.#core;
    if (core.reblocking !== reblocking) return false;
    const { source, target } = reblocking;
    const usedBytes = await core.setup.disk.usedBytes(segmentName(target));
    const copy = reblocking.result(core.setup.meta.state, usedBytes);
    if (copy === null) return false;
    await core.commit((state) => ({
      ...state,
      segments: state.segments.map((each): SegmentFacts => {
        if (each.number === target) return copy;
        return each.number === source ? { ...each, state: 'doomed' } : each;
      }),
    }));
    return true;
  }

  /** Closes what was kept open, and deletes the one of the two that is listed for it. */
  async #tidy({ source, target }: Reblocking): Promise<void> {
    const { stores } = this.#core.setup;
    if (stores.kept(source) !== undefined) await stores.release(source);
    await stores.release(target);
    await this.#core.sweep();
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#pause = this.#core.setup.options.clock.schedule('join blocks', PAUSE_MS, resolve);
    });
  }
}
