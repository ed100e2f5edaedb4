import { expect, it } from 'vitest';
import type { Coverage, SequenceRange } from '../domain/coverage.ts';
import type { SequenceGapReason } from '../domain/gap.ts';
import type { Archive } from '../world/archive.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { kernelAlarms } from './alarms.ts';
import { LostValues } from './lost-values.ts';

const data = (first: number, last: number) => ({ first, last, state: 'data' }) as const;

function made() {
  const clock = new SimulatedClock();
  const lost = new LostValues({ clock, log: silentLog });
  const stored = new Map<string, Coverage>();
  const archive = { coverage: async (streamId: string) => stored.get(streamId) ?? [] } as unknown as Archive;
  const archived = (streamId: string, { first, last }: SequenceRange) => {
    const block = { header: { streamId, firstSequence: first, count: last - first + 1 } };
    lost.committed({ blocks: [{ block }] as never, gaps: [] }, archive);
  };
  const declared = (streamId: string, { first, last }: SequenceRange, reason: SequenceGapReason) => {
    const gap = { streamId, firstSequence: first, lastSequence: last, reason };
    const times = { fromUs: 0, toUs: 0, countAtMost: last - first + 1 };
    lost.committed({ blocks: [], gaps: [{ ...gap, ...times }] }, archive);
  };
  const looked = async () => {
    lost.look(archive);
    await clock.advance(1000);
    return lost.status;
  };
  const alarms = () =>
    kernelAlarms({ archive: null, lost: lost.status, group: null, sharing: null }).map(({ text }) => text);
  return { clock, lost, stored, archive, archived, declared, looked, alarms };
}

it('an archive that has lost something is an alarm until all of it has come again', async () => {
  const { lost, stored, archive, archived, looked, alarms } = made();
  lost.saw('a', [data(1, 100)]);
  archived('a', data(101, 150));
  archived('b', data(1, 10));
  stored.set('a', [data(1, 150)]);
  stored.set('b', [data(1, 10)]);
  lost.compare(archive);
  expect(await looked(), 'nothing is missing').toBeNull();
  stored.set('a', [data(1, 60)]);
  stored.set('b', []);
  lost.compare(archive);
  await looked();
  expect(await looked()).toMatchObject({ values: 100, streams: 2, declared: 0 });
  expect(alarms()).toEqual([
    expect.stringMatching(
      /lacks 100 values .* numbers 61 to 150 of stream a, 1 to 10 of stream b, .*kom kernel acknowledge /,
    ),
  ]);
  stored.set('a', [data(1, 140), { first: 141, last: 150, state: 'kernel-regressed' }]);
  expect(await looked()).toMatchObject({ values: 20, declared: 10 });
  stored.set('a', [data(1, 150)]);
  stored.set('b', [data(1, 10)]);
  expect(await looked()).toBeNull();
  expect(alarms()).toEqual([]);
});

it('what agents declare is an alarm of whatever reign had it, until somebody has seen it', async () => {
  const { lost, stored, archive, declared, looked } = made();
  stored.set('a', [{ first: 1, last: 60, state: 'kernel-regressed' }, data(61, 80)]);
  declared('a', data(1, 60), 'crash');
  expect(await looked()).toBeNull();
  declared('a', data(1, 70), 'kernel-regressed');
  expect(await looked()).toMatchObject({ values: 60, streams: 1, declared: 60 });
  expect(lost.acknowledge()).toBe(60);
  expect(await looked()).toBeNull();
  lost.compare(archive);
  expect(await looked(), 'it is told once').toBeNull();
});

it('a stream of which less is seen than before lacks the rest', async () => {
  const { lost, stored, looked } = made();
  lost.saw('a', [data(1, 100)]);
  lost.saw('a', [data(1, 120)]);
  expect(await looked()).toBeNull();
  stored.set('a', [data(1, 50)]);
  lost.saw('a', [data(1, 50)]);
  expect(await looked()).toMatchObject({ values: 70, ranges: [{ streamId: 'a', first: 51, last: 120 }] });
});

it('what was not counted yet when somebody saw the rest is told then', async () => {
  const { lost, stored, archived, declared, looked, archive, clock } = made();
  stored.set('a', []);
  archived('b', data(1, 100));
  declared('a', data(1, 70), 'kernel-regressed');
  await looked();
  expect(await looked()).toMatchObject({ values: 70, streams: 1 });
  // Of the same stream and of another one, while the archive is slow to say what it has.
  const slow = Promise.withResolvers<Coverage>();
  lost.look({ coverage: () => slow.promise });
  await clock.advance(10);
  declared('a', data(71, 90), 'kernel-regressed');
  lost.saw('b', [data(1, 40)]);
  stored.set('b', [data(1, 40)]);
  expect(lost.acknowledge()).toBe(70);
  slow.resolve([]);
  await clock.advance(10);
  expect(lost.status, 'of what was seen').toBeNull();
  expect(await looked()).toMatchObject({ values: 80, streams: 2 });
  expect(lost.acknowledge()).toBe(80);
  lost.look(archive);
  expect(await looked()).toBeNull();
});
