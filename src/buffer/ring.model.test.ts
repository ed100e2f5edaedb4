import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Action,
  type Cut,
  FAILED_ONCE,
  givesNumbers,
  type RingRun,
  ringRun,
} from '../../test/ring-model/actions.ts';
import { type Expected, expectedOf } from '../../test/ring-model/expected.ts';
import {
  ackedOf,
  acknowledged,
  appendSteps,
  committed,
  EMPTY_MODEL,
  layoutOf,
  type Model,
  type ModelRules,
  started,
  unacknowledged,
  withLost,
  withStream,
} from '../../test/ring-model/model.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { isKomError } from '../domain/errors.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { RING_CAPACITY_BYTES_MIN } from './open-ring.ts';
import { blockOf, drained, openTestRing } from './ring.fixture.ts';
import type { Ring } from './ring.ts';

const CAPACITY_BYTES = RING_CAPACITY_BYTES_MIN;
const SEGMENT_BYTES = Math.floor(CAPACITY_BYTES / 10);

/** The ring and the model, side by side. */
class LockStep {
  readonly #clock = new SimulatedClock();
  readonly #random;
  readonly #disk;
  readonly #rules: ModelRules;
  #ring: Ring;
  #model: Model = EMPTY_MODEL;
  /** Next number of the running stream. */
  #next = 1;
  #cursor: number | null = null;

  private constructor(seed: number, rules: ModelRules) {
    this.#random = createSimulatedRandom(seed);
    this.#disk = new SimulatedDisk(this.#clock, this.#random);
    this.#rules = rules;
    this.#ring = undefined as unknown as Ring;
  }

  static async start(seed: number, rules: ModelRules): Promise<LockStep> {
    const pair = new LockStep(seed, rules);
    await pair.#open();
    return pair;
  }

  async step(action: Action): Promise<void> {
    if (givesNumbers(action) && this.#model.streams.at(-1)?.endedAt !== null) await this.#markAlive();
    switch (action.do) {
      case 'append':
        await this.#append(action.sizes);
        break;
      case 'append, cut':
        await this.#appendAndCut(action);
        break;
      case 'append, error':
        await this.#appendAndFail(action);
        // A directory that the error kept from being deleted counts, and costs another one, until it goes.
        await this.#markAlive();
        break;
      case 'acknowledge':
        await this.#acknowledge(action);
        break;
      case 'deliver without storing':
        if (this.#rules.policy === 'always') return;
        this.#next += action.count;
        await this.#acknowledgeTo(this.#current, this.#next - 1);
        break;
      case 'read on':
        await this.#readOn(action.bytes);
        break;
      case 'declare':
        await this.#declare(action);
        break;
      case 'mark alive':
      case 'stand by':
        await this.#markAlive(action.do === 'stand by');
        break;
      case 'end':
        await this.#end();
        break;
      case 'restart':
        await this.#restart(action.how);
        break;
      case 'restart on a dead disk':
        await this.#restart('killProcess', action.how);
        break;
    }
    await this.compare();
  }

  /** Everything that can be seen of the ring from outside. */
  async compare(): Promise<void> {
    expect(await this.#observed()).toEqual(expectedOf(this.#model));
  }

  get #current(): string {
    return this.#ring.stream.streamId;
  }

  async #observed(): Promise<Expected> {
    const ring = this.#ring;
    const streams = ring.streams().filter((each) => each.info.streamId !== this.#current);
    const ackedOfStream = new Map(ring.streams().map((each) => [each.info.streamId, each.ackedThrough]));
    const { samples, blocks, segments, unacknowledgedSamples, diskBytes } = ring.stat();
    // A directory that an error kept from being deleted goes with the next new segment.
    expect(diskBytes).toBeLessThanOrEqual(CAPACITY_BYTES + SEGMENT_BYTES);
    return {
      read: (await drained(ring, 4000)).map(({ position, block }) => [
        position,
        block.header.streamId,
        block.header.firstSequence,
        block.header.count,
      ]),
      held: [...streams, ...ring.streams().slice(-1)].flatMap(({ info, held }) =>
        held.length === 0 ? [] : [[info.streamId, held]],
      ),
      lost: ring.gaps().flatMap(({ streamId, firstSequence, lastSequence, reason }) => {
        const first = Math.max(firstSequence, (ackedOfStream.get(streamId) ?? 0) + 1);
        return [[streamId, first, lastSequence, reason]];
      }),
      running: [this.#current, ackedOfStream.get(this.#current) ?? 0],
      figures: [samples, blocks, segments, unacknowledgedSamples],
    };
  }

  #blocks(textBytes: readonly number[]): Block[] {
    let first = this.#next;
    return textBytes.map((bytes, at) => {
      const count = 1 + (bytes % 7);
      const block = blockOf(this.#current, first, count, bytes + at);
      first += count;
      return block;
    });
  }

  #numbered(blocks: readonly Block[]): void {
    this.#next += blocks.reduce((sum, { header }) => sum + header.count, 0);
  }

  async #append(textBytes: readonly number[]): Promise<void> {
    const blocks = this.#blocks(textBytes);
    this.#numbered(blocks);
    await this.#ring.append(blocks);
    this.#model = appendSteps(this.#model, blocks, this.#rules).at(-1) ?? this.#model;
  }

  /** The power goes, or the process, in the middle: the ring is in one of the states on the way. */
  async #appendAndCut(action: { sizes: readonly number[]; at: number; how: Cut }): Promise<void> {
    const blocks = this.#blocks(action.sizes);
    const steps = appendSteps(this.#model, blocks, this.#rules);
    const atOperation = this.#disk.operations + action.at;
    this.#disk.beforeOperation = () => {
      if (this.#disk.operations === atOperation) this.#disk[action.how]();
    };
    const isDone = await this.#ring.append(blocks).then(
      () => true,
      () => false,
    );
    this.#disk.beforeOperation = undefined;
    if (!isDone) this.#disk.killProcess();
    else this.#disk[action.how]();
    await this.#adopt(isDone ? steps.slice(-1) : steps);
  }

  async #adopt(steps: readonly Model[]): Promise<void> {
    const streams = this.#model.streams;
    this.#ring = await openTestRing(this.#disk, this.#world, { ...this.#rules });
    this.#next = 1;
    this.#cursor = null;
    const outcomes = steps.map((each) => started(each, this.#current, this.#clock.wallUs(), this.#rules));
    this.#model = await this.#matching(outcomes);
    expect(this.#model.streams).toHaveLength(streams.length + 1);
    this.#comparePrevious();
  }

  /** The state that the ring is in; those that look alike differ by how the segments are filled. */
  async #matching(outcomes: readonly Model[]): Promise<Model> {
    const seen = JSON.stringify(await this.#observed());
    const matches = outcomes.filter((each) => JSON.stringify(expectedOf(each)) === seen);
    expect(matches.length, `${seen} is one of ${outcomes.length} states on the way`).toBeGreaterThan(0);
    const names = (await this.#disk.list()).filter((name) => name.startsWith('segment-'));
    const filled = names.map((name) => this.#disk.keys(name).length).filter((count) => count > 0);
    return matches.find((each) => `${layoutOf(each)}` === `${filled}`) ?? matches[0] ?? this.#model;
  }

  /**
   * One operation of the append fails; the first blocks may be delivered from memory meanwhile; the ring
   * heals, and the others are appended again. What failed may have arrived.
   */
  async #appendAndFail(action: { sizes: readonly number[]; at: number; delivered: number }): Promise<void> {
    const blocks = this.#blocks(action.sizes);
    this.#numbered(blocks);
    const steps = appendSteps(this.#model, blocks, this.#rules);
    const atOperation = this.#disk.operations + action.at;
    this.#disk.beforeOperation = () => {
      this.#disk.failing = this.#disk.operations === atOperation ? 'write' : 'nothing';
    };
    const failure = await this.#ring.append(blocks).then(
      () => null,
      (error: unknown) => error,
    );
    this.#disk.beforeOperation = undefined;
    this.#disk.failing = 'nothing';
    this.#model = steps.at(-1) ?? this.#model;
    if (failure === null) return;
    expect(isKomError(failure, 'KOM_STORE_WRITE')).toBe(true);
    await this.#clock.advance(1000);
    const delivered = this.#rules.policy === 'always' ? 0 : action.delivered;
    const through = blocks.slice(0, delivered).at(-1);
    const left = blocks.slice(delivered);
    if (through !== undefined) await this.#ring.acknowledge(this.#current, lastSequence(through.header));
    await this.#ring.append(left);
    const outcomes = steps.map((each) => {
      const known = through && acknowledged(each, this.#current, lastSequence(through.header), this.#rules);
      const next = committed(known ?? each);
      const durable = next.streams.at(-1)?.durable ?? 0;
      const missing = left.filter(({ header }) => header.firstSequence > durable);
      return appendSteps(next, missing, this.#rules).at(-1) ?? next;
    });
    this.#model = await this.#matching(outcomes);
  }

  async #acknowledge({ share, older }: { share: number; older: boolean }): Promise<void> {
    const streams = this.#model.streams.filter(
      (each) => each.durable > 0 && (each.streamId === this.#current) !== older,
    );
    const stream = streams[Math.floor(share * 0.999 * streams.length)];
    if (stream === undefined) return;
    const through = Math.ceil(stream.acked + (stream.durable - stream.acked) * share);
    await this.#acknowledgeTo(stream.streamId, through);
  }

  async #acknowledgeTo(streamId: string, through: number): Promise<void> {
    const isKnown = this.#ring.streams().some((each) => each.info.streamId === streamId);
    await this.#ring.acknowledge(streamId, through);
    if (isKnown) this.#model = acknowledged(this.#model, streamId, through, this.#rules);
  }

  async #readOn(limitBytes: number): Promise<void> {
    const after = this.#cursor ?? 0;
    const wanted = unacknowledged(this.#model).filter(({ position }) => position > after);
    let bytes = 0;
    const due = wanted.filter(({ readBytes }) => {
      const isDue = bytes < limitBytes;
      bytes += readBytes + 2;
      return isDue;
    });
    const read = await this.#ring.readUnacknowledged(this.#cursor, limitBytes);
    expect(read.blocks.map(({ position }) => position)).toEqual(due.map(({ position }) => position));
    expect(read.more).toBe(due.length < wanted.length);
    this.#cursor = read.more ? read.after : null;
  }

  async #declare({ skip, count }: { skip: number; count: number }): Promise<void> {
    const first = ackedOf(this.#model, this.#current) + 1 + skip;
    const range = { streamId: this.#current, first, last: first + count - 1 };
    if (range.last >= this.#next) return;
    const { streamId, last } = range;
    const gap = {
      streamId,
      firstSequence: first,
      lastSequence: last,
      fromUs: 1,
      toUs: 2,
      countAtMost: count,
    };
    await this.#ring.declareGap({ ...gap, reason: 'rejected' });
    this.#model = committed(withLost(this.#model, range, 'rejected'));
  }

  async #markAlive(isStandby = false): Promise<void> {
    const aliveUs = this.#clock.wallUs() + this.#next;
    await this.#ring.markAlive(aliveUs, this.#next, { isStandby });
    const endedAt = isStandby ? this.#next - 1 : null;
    this.#model = withStream(committed(this.#model), this.#current, (each) => ({
      ...each,
      aliveUs,
      endedAt,
    }));
  }

  async #end(): Promise<void> {
    const atUs = this.#clock.wallUs();
    const endedAt = this.#next - 1;
    await this.#ring.endStream(endedAt, atUs);
    this.#model = withStream(committed(this.#model), this.#current, (each) => ({
      ...each,
      endedAt,
      aliveUs: atUs,
    }));
    await this.#restart('close');
  }

  async #restart(how: Cut | 'close', failing: 'nothing' | 'write' | 'all' = 'nothing'): Promise<void> {
    if (how === 'close') {
      await this.#ring.close();
      this.#model = committed(this.#model);
    } else this.#disk[how]();
    this.#disk.failing = failing;
    await this.#open();
  }

  async #open(): Promise<void> {
    this.#ring = await openTestRing(this.#disk, this.#world, { ...this.#rules });
    const startedAtUs = this.#clock.wallUs();
    this.#next = 1;
    this.#cursor = null;
    if (this.#disk.failing !== 'nothing') {
      expect(this.#ring.stat().state).toBe('volatile');
      expect(await drained(this.#ring)).toEqual([]);
      await this.#clock.advance(1000);
      this.#disk.failing = 'nothing';
      await this.#ring.append([]);
    }
    this.#model = started(this.#model, this.#current, startedAtUs, this.#rules);
    this.#comparePrevious();
  }

  #comparePrevious(): void {
    const before = this.#model.streams.at(-2);
    expect(this.#ring.stream.previous).toEqual(
      before === undefined
        ? null
        : {
            streamId: before.streamId,
            lastDurableSequence: before.endedAt ?? before.durable,
            endedCleanly: before.endedAt !== null,
            aliveUntilUs: before.aliveUs,
            lostAtMost: before.endedAt === null ? 500 : 0,
          },
    );
  }

  get #world() {
    return { clock: this.#clock, random: this.#random };
  }
}

async function holds({ seed, policy, whenFull, actions }: RingRun): Promise<void> {
  const rules = { capacityBytes: CAPACITY_BYTES, segmentBytes: SEGMENT_BYTES, policy, whenFull };
  const pair = await LockStep.start(seed, rules);
  await pair.compare();
  for (const each of actions) await pair.step(each);
}

test('the ring and the model agree after every step', async () => {
  await fc.assert(fc.asyncProperty(ringRun, holds), { numRuns: 120, interruptAfterTimeLimit: 15_000 });
});

test.each(FAILED_ONCE)('a run that failed once holds (%#)', holds);
