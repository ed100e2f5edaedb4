import { expect, test } from 'vitest';
import { OPEN_END } from '../domain/gap.ts';
import type { Sample } from '../domain/sample.ts';
import { allOf, blockOf, gapOf, sampleOf, T0, transactionOf } from './archive.fixture.ts';
import type { Archive } from './archive.ts';

/** What every archive makes of losses whose extent is not known. */
export function lossContract(archiveOf: () => Archive): void {
  const put = (first: number, entries: readonly Sample[]): Promise<void> =>
    archiveOf().commit(transactionOf({ blocks: [blockOf(first, entries)] }));
  const run = (from: number, to: number): Sample[] =>
    Array.from({ length: to - from + 1 }, (_, i) => sampleOf((from + i) * 1000, from + i));

  test('a crash gap with an open end goes once all that can be lost was delivered', async () => {
    await put(1, run(1, 2));
    await archiveOf().commit(
      transactionOf({ gaps: [gapOf(3, OPEN_END, { reason: 'crash', countAtMost: 3 })] }),
    );
    expect(await archiveOf().gaps(allOf('P1.a'))).toMatchObject([{ firstSequence: 3, countAtMost: 3 }]);
    await put(3, run(3, 4));
    expect(await archiveOf().gaps(allOf('P1.a'))).toMatchObject([
      { firstSequence: 5, lastSequence: OPEN_END, countAtMost: 1 },
    ]);
    await put(5, run(5, 5));
    expect(await archiveOf().gaps(allOf('P1.a'))).toEqual([]);
  });

  test('what a store tells of its lost numbers replaces what was only concluded of them', async () => {
    const spans = async () =>
      (await archiveOf().gaps(allOf('P1.a'))).map((gap) =>
        gap.kind === 'time' ? [] : [gap.reason, gap.firstSequence, gap.lastSequence, gap.toUs - T0],
      );
    const crash = gapOf(1, OPEN_END, { reason: 'crash', countAtMost: 100, toUs: T0 + 50 });
    const refused = gapOf(3, 6, { reason: 'refused', toUs: T0 + 90 });
    await archiveOf().commit(transactionOf({ gaps: [crash] }));
    await archiveOf().commit(transactionOf({ gaps: [refused] }));
    await archiveOf().commit(transactionOf({ gaps: [{ ...crash, reason: 'store-lost' }] }));
    const left = [
      ['crash', 1, 2, 50],
      ['crash', 7, OPEN_END, 50],
      ['refused', 3, 6, 90],
    ];
    expect((await spans()).toSorted()).toEqual(left);
    expect((await archiveOf().stat()).gaps).toBe(3);
  });
}
