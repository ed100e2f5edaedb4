import { expect, it } from 'vitest';
import type { Block } from '../domain/block/block.ts';
import { encodeBlock } from '../domain/block/codec.ts';
import { KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import type { BlockStore } from './block-source.ts';
import { LostAgain } from './lost-again.ts';

const STREAM = 'a'.repeat(32);
const START_US = 1_767_225_600_000_000;
const GAP: SequenceGap = {
  ...{ streamId: STREAM, firstSequence: 1, lastSequence: 30, reason: 'kernel-regressed', countAtMost: 30 },
  ...{ fromUs: START_US, toUs: START_US + 60_000_000 },
};

/** Ten numbers, a second each. */
function blockOf(firstSequence: number): Block {
  const samples = Array.from({ length: 10 }, (_, at) => ({
    ...{ tagIndex: 0, sourceTimeUs: START_US + (firstSequence + at) * 1_000_000, value: at, quality: 0 },
    cause: 'change' as const,
  }));
  const header = { streamId: STREAM, firstSequence, dictionaryHash: 'd'.repeat(32), sealedMonotonicUs: 0 };
  return encodeBlock(samples, header);
}

it('what the Kernel lost goes out; where the disk gives nothing, the session tries again', async () => {
  const clock = new SimulatedClock();
  const blocks = [blockOf(1), blockOf(21)];
  let fails = 0;
  const backlog: Pick<BlockStore, 'recorded' | 'firstBehind'> = {
    recorded: async (_stream, { first }) => {
      if (first > 10 && fails-- > 0) throw new KomError('KOM_STORE_READ', 'segment');
      return blocks.filter(({ header }) => header.firstSequence + 9 >= first).slice(0, 1);
    },
    firstBehind: async () => undefined,
  };
  let woken = 0;
  const again = new LostAgain({ clock, log: silentLog, wake: () => woken++ });
  again.add(GAP, backlog as BlockStore);
  const sent: string[] = [];
  const send = (): Promise<void> =>
    again.send({
      isOver: () => false,
      untilRoom: async () => 1000,
      send: async (part) => {
        if ('block' in part) sent.push(`block ${part.block.header.firstSequence}`);
        else sent.push(`gap ${part.gap.firstSequence} to ${part.gap.lastSequence}`);
      },
    });
  fails = 2;
  await send();
  expect({ sent, woken }).toEqual({ sent: ['block 1'], woken: 0 });
  await send();
  expect(sent, 'not before it is time').toHaveLength(1);
  await clock.advance(1000);
  expect(woken).toBe(1);
  await send();
  await clock.advance(1000);
  expect({ sent, woken }).toEqual({ sent: ['block 1'], woken: 2 });
  await send();
  expect(sent).toEqual(['block 1', 'gap 11 to 20', 'block 21']);
  await clock.advance(10_000);
  expect(woken).toBe(2);
});
