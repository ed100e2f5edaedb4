import { expect, test } from 'vitest';
import { entryRuns, type FoundEntry, type UsedDictionary } from './entry-run.ts';
import { Mark } from './marks.ts';
import { isTimeGap, type TimeGap } from './sample.ts';
import type { SequenceSteps } from './sequence-steps.ts';

const STREAM = '1'.repeat(32);
const gap: TimeGap = { station: null, tags: [], fromUs: 1, toUs: 2, reason: 'overload' };

function dictionary(hash: string, ...tags: readonly string[]): UsedDictionary<string> {
  return { hash, indexOf: (tag) => (tags.includes(tag) ? tags.indexOf(tag) : undefined) };
}

function sample(sequence: number, tag: string, marks = 0): FoundEntry<string> {
  const value = { sourceTimeUs: sequence, value: sequence, quality: 0, cause: 'change' } as const;
  return { sequence, tag, marks, sample: { tagIndex: 0, ...value } };
}

/** First number, dictionary and what is in it: tag indexes, `gap` for a time gap. */
function runs(
  found: readonly FoundEntry<string>[],
  dictionaries: readonly UsedDictionary<string>[],
  terms: SequenceSteps = [],
) {
  return entryRuns(found, { streamId: STREAM, dictionaries, terms }).map((run) => {
    const entries = run.entries.map((each) => {
      if (isTimeGap(each)) return 'gap';
      return 'tagIndex' in each ? each.tagIndex : 'fix';
    });
    return [run.firstSequence, run.dictionaryHash, ...entries].join(' ');
  });
}

test('a run ends at a hole, and where the term or how its rows came changes', () => {
  const one = [dictionary('d', 'a', 'b')];
  expect(runs([sample(3, 'a'), sample(4, 'b'), sample(6, 'a')], one)).toEqual(['3 d 0 1', '6 d 0']);
  const terms = [{ first: 4, last: 9, value: 31 }];
  expect(runs([sample(3, 'a'), sample(4, 'b')], one, terms)).toEqual(['3 d 0', '4 d 1']);
  const marked = [
    sample(1, 'a'),
    sample(2, 'a', Mark.replayed),
    sample(3, 'a', Mark.replayed | Mark.overlap),
  ];
  const found = entryRuns(marked, { streamId: STREAM, dictionaries: one, terms });
  expect(found.map(({ isReplayed, entries }) => [isReplayed, entries.length])).toEqual([
    [false, 1],
    [true, 2],
  ]);
});

test('time gaps go with what is around them, and alone', () => {
  const one = [dictionary('d', 'a')];
  const gapAt = (sequence: number) => ({ sequence, other: gap });
  expect(runs([gapAt(1), sample(2, 'a', Mark.clockUncertain), gapAt(3)], one)).toEqual(['1 d gap 0 gap']);
  expect(runs([gapAt(8)], one)).toEqual(['8 d gap']);
});

test('the newest dictionary that names a tag labels it, and goes on as long as it names the next', () => {
  const two = [dictionary('new', 'b', 'c'), dictionary('old', 'a', 'b')];
  expect(runs([sample(1, 'b'), sample(2, 'a'), sample(3, 'b'), sample(4, 'c')], two)).toEqual([
    '1 new 0',
    '2 old 0 1',
    '4 new 1',
  ]);
});

test('what no dictionary names is as if it was not there', () => {
  expect(runs([sample(1, 'a'), sample(2, 'x'), sample(3, 'a')], [dictionary('d', 'a')])).toEqual([
    '1 d 0',
    '3 d 0',
  ]);
  expect(runs([sample(1, 'x')], [])).toEqual([]);
});
