import { expect, test } from 'vitest';
import { openRing } from '../../src/buffer/open-ring.ts';
import type { Ring } from '../../src/buffer/ring.ts';
import type { Archive, ArchivedGap, ArchivedSample } from '../../src/world/archive.ts';
import { overridden } from '../integration/support/overridden.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep } from '../integration/support/until.ts';

/*
 * The proof must see what goes wrong. Everything here is real but for one thing, which is broken on purpose.
 */

/** Rings that lose the third block of the outage and say nothing about it. */
const LOSING_RINGS: Readonly<Record<string, (ring: Ring) => Ring>> = {
  'takes a block and does not keep it': (ring) => {
    let seen = 0;
    return overridden(ring, {
      append: async (blocks) => {
        const kept = blocks.filter(() => ++seen !== 3);
        const result = await ring.append(kept);
        return { ...result, stored: blocks.map(({ header }) => rangeOf(header)) };
      },
    });
  },
  'keeps a block and does not give it back': (ring) => {
    let lost: number | null = null;
    return overridden(ring, {
      readUnacknowledged: async (after, limitBytes) => {
        const read = await ring.readUnacknowledged(after, limitBytes);
        lost ??= read.blocks[2]?.position ?? null;
        return { ...read, blocks: read.blocks.filter(({ position }) => position !== lost) };
      },
    });
  },
};

function rangeOf({ firstSequence, count }: { firstSequence: number; count: number }) {
  return { first: firstSequence, last: firstSequence + count - 1 };
}

test.each(Object.keys(LOSING_RINGS))('a ring that %s turns the proof red', async (name) => {
  await using setup = await Setup.start({
    openRing: async (disk, options) =>
      (LOSING_RINGS[name] as (ring: Ring) => Ring)(await openRing(disk, options)),
  });
  setup.cable.cut();
  await sleep(2500);
  setup.cable.heal();
  await sleep(1000);
  const proof = await setup.prove();
  expect(proof.ok).toBe(false);
  expect(proof.lost).toBeGreaterThan(0);
  // A bit that changed twice in the lost block looks like a change to what was there already.
  expect(proof).toMatchObject({ outOfOrder: 0, undeclaredGaps: 0, foreign: 0 });
});

type Lie = 'none' | 'double' | 'swap' | 'swallow' | 'invent';

/** An archive that tells one tag's history wrong, in one way. */
function lying(archive: Archive, lie: () => Lie): Archive {
  return overridden(archive, {
    samples: async (query) => {
      const rows = await archive.samples(query);
      return query.tag === 'P1.volume' ? spoilt(rows, lie()) : rows;
    },
    gaps: async (query) => {
      const gaps = await archive.gaps(query);
      return lie() === 'swallow' && query.tag.startsWith('P2.') ? gaps.filter((gap) => !isStop(gap)) : gaps;
    },
  });
}

function isStop(gap: ArchivedGap): boolean {
  return gap.kind === 'time' && gap.reason === 'agent-stopped';
}

/** Early in the first run, far from the gap that the proof makes allowance for. */
const SPOILT_ROW = 3;

function spoilt(rows: readonly ArchivedSample[], lie: Lie): ArchivedSample[] {
  const at = SPOILT_ROW;
  const [one, two] = rows.slice(at, at + 2);
  if (one === undefined || two === undefined) return [...rows];
  switch (lie) {
    case 'double':
      return rows.toSpliced(at, 0, one);
    case 'swap':
      return rows.toSpliced(at, 2, { ...one, sequence: two.sequence }, { ...two, sequence: one.sequence });
    case 'invent':
      return rows.toSpliced(at, 1, { ...one, value: 42n });
    default:
      return [...rows];
  }
}

test('an archive that doubles, swaps, invents or swallows turns the proof red', async () => {
  let lie: Lie = 'none';
  await using setup = await Setup.start({ wrapArchive: (archive) => lying(archive, () => lie) });
  await sleep(2000);
  await setup.stopAgent();
  await sleep(3000);
  await setup.startAgent();
  await setup.untilOnline();
  await sleep(500);
  expect(await setup.prove()).toMatchObject(GREEN);
  lie = 'double';
  expect(await setup.prove()).toMatchObject({
    ...GREEN,
    ok: false,
    duplicates: 1,
    findings: [expect.anything()],
  });
  lie = 'swap';
  const swapped = await setup.prove();
  expect(swapped.ok).toBe(false);
  expect(swapped.outOfOrder).toBeGreaterThan(0);
  lie = 'invent';
  expect(await setup.prove()).toMatchObject({ ok: false, foreign: 1, lost: 1 });
  lie = 'swallow';
  const swallowed = await setup.prove();
  expect(swallowed).toMatchObject({ ok: false, lost: 0, duplicates: 0, outOfOrder: 0, foreign: 0 });
  expect(swallowed.undeclaredGaps, 'every tag of P2').toBe(9);
});
