import { describe, expect, it } from 'vitest';
import { encodeBlock } from '../domain/block/codec.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { POISON_BLOCKS_MAX, POISON_BYTES_MAX, Poison } from './poison.ts';

const STREAM = 'ab'.repeat(16);
const HASH = 'cd'.repeat(16);
const REFUSAL = { reason: 'undecodable', text: 'it does not decode' };

function blockOf(firstSequence: number, text = 'x') {
  const sample = { tagIndex: 0, sourceTimeUs: 5, value: text, quality: 0, cause: 'change' } as const;
  const place = { streamId: STREAM, firstSequence, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  return encodeBlock([sample], place);
}

function setUp() {
  const random = createSimulatedRandom(1);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  return { clock, disk, poison: new Poison({ disk, clock, log: silentLog }), random };
}

describe('poison folder', () => {
  it('is not made by looking', async () => {
    const { disk, poison } = setUp();
    expect(await poison.list()).toEqual([]);
    expect(await disk.list()).toEqual([]);
  });

  it('gives a block back as it was, with its dictionary, also after a restart', async () => {
    const { disk, clock, poison } = setUp();
    const block = blockOf(7);
    await poison.keep({ block, dictionary: Buffer.from('tags') }, REFUSAL);
    await poison.keep({ block, dictionary: undefined }, REFUSAL);
    const again = new Poison({ disk, clock, log: silentLog });
    const items = await again.list();
    expect(items).toMatchObject([
      { streamId: STREAM, firstSequence: 7, lastSequence: 7, refusals: 2, ...REFUSAL },
    ]);
    const [found] = await again.blocks(items);
    expect(Buffer.from(found?.block.bytes ?? [])).toEqual(Buffer.from(block.bytes));
    expect(Buffer.from(found?.dictionary ?? []).toString()).toBe('tags');
    expect(await again.forget(STREAM, 7)).toBe(true);
    expect(await again.forget(STREAM, 7)).toBe(false);
    expect(await again.list()).toEqual([]);
    const left = await disk.open('poison');
    expect(await left.read({})).toEqual([]);
  });

  it('keeps to its bounds in blocks and bytes; the oldest goes first', async () => {
    const { clock, poison, random } = setUp();
    for (let at = 1; at <= POISON_BLOCKS_MAX + 3; at++) {
      await poison.keep({ block: blockOf(at), dictionary: undefined }, REFUSAL);
      await clock.advance(1);
    }
    expect((await poison.list()).map((item) => item.firstSequence)).toEqual(
      Array.from({ length: POISON_BLOCKS_MAX }, (_, at) => at + 4),
    );
    const noise = Buffer.from(random.bytes(1_500_000)).toString('latin1');
    for (let at = 101; at <= 130; at++) {
      await poison.keep({ block: blockOf(at, noise), dictionary: undefined }, REFUSAL);
      await clock.advance(1);
    }
    const items = await poison.list();
    expect(items.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(POISON_BYTES_MAX);
    expect(items.length).toBeGreaterThan(5);
    expect(items.at(-1)?.firstSequence).toBe(130);
  });
});
