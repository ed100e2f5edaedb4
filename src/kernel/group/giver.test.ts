import { describe, expect, it } from 'vitest';
import { ForwardRing } from '../../buffer/forward-ring.ts';
import { decodeBlock, encodeBlock, readBlock } from '../../domain/block/codec.ts';
import type { Coverage, SequenceRange } from '../../domain/coverage.ts';
import type { SequenceGap } from '../../domain/gap.ts';
import type { Message, NackReason } from '../../uplink/messages.ts';
import { DICTIONARY, HASH, STREAM, sampleOf, streamOf, transactionOf } from '../../world/archive.fixture.ts';
import { silentLog } from '../../world/log.ts';
import { SimulatedArchive } from '../../world/simulated/archive.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { SimulatedDisk } from '../../world/simulated/disk.ts';
import { createSimulatedRandom } from '../../world/simulated/random.ts';
import { Giver } from './giver.ts';
import { REFUSED_MAX } from './refused-blocks.ts';

/** A giver whose archive, and whose ring where it is to hold them, has blocks of ten numbers each. */
async function giving({ blocks = 3, isHeld = true } = {}) {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const disk = new SimulatedDisk(clock, createSimulatedRandom(1));
  const sizes = { capacityBytes: 1_000_000, segmentBytes: 100_000 };
  const opening = ForwardRing.open({ disk, ...sizes, clock, log: silentLog });
  const ring = await clock.runUntil(opening);
  const made = Array.from({ length: blocks }, (_, at) => {
    const entries = Array.from({ length: 10 }, (_, of) => sampleOf(of, at * 10 + of));
    const place = { streamId: STREAM, firstSequence: at * 10 + 1, dictionaryHash: HASH };
    return encodeBlock(entries, { ...place, sealedMonotonicUs: 0 });
  });
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  const rows = made.map((block) => ({ block: decodeBlock(block), dictionary: DICTIONARY }));
  await archive.commit(transactionOf({ streams: [streamOf()], blocks: rows }));
  if (isHeld) await clock.runUntil(ring.append(made.map((block) => ({ ...block, isReplayed: false }))));
  let shrunk = 0;
  const options = { told: () => {}, shrank: () => shrunk++, gives: () => 'all' as const };
  const common = { clock, log: silentLog, ...options };
  const giver = new Giver({ ...common, archive, ring });
  const given: SequenceRange[] = [];
  const gaps: SequenceGap[] = [];
  const take = (message: Message): boolean => {
    if (message.type === 'gap') gaps.push(message.gap);
    if (message.type !== 'block') return true;
    const { firstSequence: first, count } = readBlock(message.bytes).header;
    given.push({ first, last: first + count - 1 });
    return true;
  };
  const open = async (coverage: Coverage): Promise<void> => {
    given.length = 0;
    giver.opened({ roomBytes: 100_000, give: take }, [HASH]);
    await clock.advance(300);
    tell(coverage);
    await clock.advance(300);
  };
  const tell = (coverage: Coverage) =>
    giver.take({ type: 'forwardCoverage', streams: [{ streamId: STREAM, coverage }] });
  const refuse = (first: number, reason: NackReason) => {
    const range = { streamId: STREAM, firstSequence: first, lastSequence: first + 9 };
    giver.take({ type: 'nack', nack: { ...range, reason, text: '' } });
  };
  /** Another stream, of which the taker has nothing. */
  const begin = async (streamId: string): Promise<void> => {
    const place = { streamId, firstSequence: 1, dictionaryHash: HASH };
    const encoded = encodeBlock([sampleOf(1, 7)], { ...place, sealedMonotonicUs: 0 });
    await clock.runUntil(ring.append([{ ...encoded, isReplayed: false }]));
    const block = decodeBlock(encoded);
    const streams = [{ ...streamOf(), streamId }];
    await archive.commit(transactionOf({ streams, blocks: [{ block, dictionary: DICTIONARY }] }));
    giver.committed([streamId]);
    giver.knows('S', 'KomA');
    await clock.advance(15_000);
    giver.take({ type: 'forwardCoverage', streams: [{ streamId, coverage: [] }] });
  };
  return { clock, giver, given, gaps, open, tell, refuse, begin, shrunk: () => shrunk };
}

const DATA = { state: 'data' } as const;
const REJECTED = { state: 'rejected' } as const;

describe('a taker that refuses a block', () => {
  it('gets a gap for it, once, and has everything when it has that', async () => {
    const { clock, giver, gaps, given, open, tell, refuse } = await giving();
    await open([]);
    expect(given).toHaveLength(3);
    refuse(11, 'undecodable');
    await clock.advance(1000);
    expect(gaps).toMatchObject([
      { streamId: STREAM, firstSequence: 11, lastSequence: 20, reason: 'rejected' },
    ]);
    const all = [
      { first: 1, last: 10, ...DATA },
      { first: 11, last: 20, ...REJECTED },
      { first: 21, last: 30, ...DATA },
    ];
    expect(giver.behindMs).toBeGreaterThan(0);
    tell(all);
    await clock.advance(1000);
    expect(giver.behindMs).toBe(0);
    expect(giver.refused).toMatchObject({ values: 10, runs: 1, why: 'undecodable' });
    await clock.advance(60_000);
    expect([gaps.length, given.length]).toEqual([1, 3]);
    await open(all);
    expect(given, 'over a new connection').toEqual([{ first: 11, last: 20 }]);
    refuse(11, 'undecodable');
    await clock.advance(1000);
    expect(gaps).toHaveLength(1);
    expect(giver.behindMs).toBe(0);
  });

  it('for a reason that says nothing gets no gap, and the block again after a while', async () => {
    const { clock, giver, gaps, given, open, tell, refuse } = await giving();
    await open([]);
    refuse(11, 'unspecified');
    await clock.advance(9000);
    expect(given).toHaveLength(3);
    await clock.advance(2000);
    expect(given.slice(3)).toEqual([{ first: 11, last: 20 }]);
    expect(gaps).toEqual([]);
    tell([{ first: 1, last: 30, ...DATA }]);
    await clock.advance(1000);
    expect(giver.behindMs).toBe(0);
  });

  it('gets a gap for each of more than are remembered at once, some after the others', async () => {
    const blocks = REFUSED_MAX + 300;
    const { clock, giver, gaps, given, open, tell, refuse } = await giving({ blocks });
    await open([]);
    expect(given).toHaveLength(blocks);
    for (const { first } of given) refuse(first, 'undecodable');
    await clock.advance(20_000);
    expect(gaps).toHaveLength(REFUSED_MAX);
    expect(given, 'there is no room for what would be refused').toHaveLength(blocks);
    tell([{ first: 1, last: 10 * REFUSED_MAX, ...REJECTED }]);
    await clock.advance(1000);
    expect(given).toHaveLength(blocks + 300);
    for (const { first } of given.slice(blocks)) refuse(first, 'undecodable');
    await clock.advance(1000);
    expect(gaps).toHaveLength(blocks);
    tell([{ first: 1, last: 10 * blocks, ...REJECTED }]);
    await clock.advance(1000);
    expect(giver.behindMs).toBe(0);
  });

  it('goes on getting what is new when all that is a gap there was given and refused once more', async () => {
    const blocks = REFUSED_MAX + 300;
    const { clock, given, open, refuse, begin } = await giving({ blocks });
    await open([{ first: 1, last: 10 * blocks, ...REJECTED }]);
    await clock.advance(60_000);
    expect(given).toHaveLength(blocks);
    for (const { first } of [...given]) refuse(first, 'undecodable');
    await begin('b'.repeat(32));
    await clock.advance(1000);
    expect(given.slice(blocks)).toEqual([{ first: 1, last: 1 }]);
  });

  it('for a reason that says nothing gets each again, of more than are remembered at once', async () => {
    const blocks = REFUSED_MAX + 300;
    const { clock, giver, given, open, tell, refuse } = await giving({ blocks });
    await open([]);
    for (const { first } of given) refuse(first, 'unspecified');
    await clock.advance(9000);
    expect(given, 'there is no room for what would be refused').toHaveLength(blocks);
    await clock.advance(2000);
    expect(given).toHaveLength(2 * blocks);
    tell([{ first: 1, last: 10 * blocks, ...DATA }]);
    await clock.advance(1000);
    expect(giver.behindMs).toBe(0);
  });

  it('says nothing of a block that it was not given, and is not believed', async () => {
    const { clock, gaps, open, tell, refuse } = await giving();
    const has = [{ first: 1, last: 10, ...DATA }];
    await open(has);
    tell(has);
    refuse(5, 'undecodable');
    refuse(1001, 'undecodable');
    await clock.advance(1000);
    expect(gaps).toEqual([]);
  });

  it.each([
    ['of the ring', true],
    ['made again of rows', false],
  ])('gets what it knows nothing of before what it refused: blocks %s', async (_, isHeld) => {
    const { given, open } = await giving({ isHeld });
    const theirs = [
      { first: 1, last: 10, ...REJECTED },
      { first: 21, last: 30, ...DATA },
    ];
    await open(theirs);
    expect(given).toEqual([
      { first: 11, last: 20 },
      { first: 1, last: 10 },
    ]);
  });
});

it('a taker that has no more what it had is told of, over one connection and over the next', async () => {
  const { open, tell, shrunk } = await giving();
  await open([{ first: 1, last: 20, ...DATA }]);
  tell([{ first: 1, last: 30, ...DATA }]);
  expect(shrunk()).toBe(0);
  tell([{ first: 1, last: 29, ...DATA }]);
  expect(shrunk()).toBe(1);
  await open([{ first: 11, last: 29, ...DATA }]);
  expect(shrunk()).toBe(2);
});
