import { expect, test } from 'vitest';
import { allOf, blockOf, gapOf, STREAM, sampleOf, T0, transactionOf } from './archive.fixture.ts';
import type { Archive } from './archive.ts';

/** What every archive does when numbers are repaired, and with the epoch of its Kernel. */
export function repairContract(under: {
  readonly archive: () => Archive;
  readonly reopen: () => Promise<Archive | undefined>;
}): void {
  const { archive, reopen } = under;
  const gap = { station: 'P1', tags: [], fromUs: T0, toUs: T0 + 5, reason: 'overload' } as const;
  const put = (...blocks: ReturnType<typeof blockOf>[]): Promise<void> =>
    archive().commit(transactionOf({ blocks }));
  const values = async (): Promise<string[]> =>
    (await archive().samples(allOf('P1.a'))).map(({ sequence, value }) => `${sequence}=${value}`);
  const run = (first: number, count: number, times: number) =>
    blockOf(
      first,
      Array.from({ length: count }, (_, at) => sampleOf((first + at) * 1000, (first + at) * times)),
    );

  test('a repair deletes what is there of its numbers and inserts them again, and nothing else', async () => {
    await put(run(1, 3, 1), blockOf(4, [gap]), run(5, 3, 1));
    await archive().commit(transactionOf({ gaps: [gapOf(9, 10)] }));
    const again = { ...blockOf(3, [sampleOf(3000, 33), gap, sampleOf(5000, 55)]), repair: true as const };
    await put(again);
    await put(again);
    expect(await values()).toEqual(['1=1', '2=2', '3=33', '5=55', '6=6', '7=7']);
    const gaps = await archive().gaps(allOf('P1.a'));
    expect(gaps.filter(({ kind }) => kind === 'time')).toHaveLength(1);
    expect(await archive().coverage(STREAM)).toEqual([
      { first: 1, last: 7, state: 'data' },
      { first: 9, last: 10, state: 'evicted' },
    ]);
  });

  test('a repair in one transaction with the same numbers has them once', async () => {
    const again = { ...run(2, 2, 10), repair: true as const };
    await put(run(1, 4, 1), again, run(1, 5, 1), again);
    expect(await values()).toEqual(['1=1', '2=20', '3=30', '4=4', '5=5']);
  });

  test('a repair fills what was a gap, and a month that it does not have yet', async () => {
    await archive().commit(transactionOf({ gaps: [gapOf(1, 2, { reason: 'rejected' })] }));
    const lastYear = sampleOf(-400 * 86_400_000_000, 7);
    await put({ ...blockOf(1, [lastYear, sampleOf(0, 8)]), repair: true });
    expect(await values()).toEqual(['1=7', '2=8']);
    expect(await archive().coverage(STREAM)).toEqual([{ first: 1, last: 2, state: 'data' }]);
  });

  test('the epoch of the Kernel is only ever raised', async () => {
    expect(await archive().kernelEpoch()).toBe(0);
    await archive().raiseKernelEpoch(7);
    await archive().raiseKernelEpoch(3);
    expect(await archive().kernelEpoch()).toBe(7);
    const again = await reopen();
    if (again !== undefined) expect(await again.kernelEpoch()).toBe(7);
  });

  test('the term of each process is only ever raised, and the archive knows for whom', async () => {
    expect(await archive().terms()).toEqual([]);
    const first = { site: 'Plant', process: 'KomA', term: 31, holder: 1 };
    const second = { site: 'Plant', process: 'KomA', term: 2 ** 50, holder: 2 };
    const other = { site: 'Plant', process: 'KomB', term: 47, holder: 1 };
    for (const term of [first, second, { ...first, holder: 2 }, other]) await archive().raiseTerm(term);
    const known = (terms: readonly { readonly process: string }[]) =>
      [...terms].sort((a, b) => a.process.localeCompare(b.process));
    expect(known(await archive().terms())).toEqual([second, other]);
    const again = await reopen();
    if (again !== undefined) expect(known(await again.terms())).toEqual([second, other]);
  });
}
