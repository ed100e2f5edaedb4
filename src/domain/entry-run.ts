import { Mark } from './marks.ts';
import type { BlockEntry, Sample } from './sample.ts';
import { type SequenceSteps, stepAt, stepsWithin } from './sequence-steps.ts';
import type { Term } from './term.ts';

/** Entries of a stream with numbers one after the other, as the blocks held them that brought them. */
export interface EntryRun {
  readonly streamId: string;
  readonly firstSequence: number;
  /** The dictionary by which the tag indexes are. */
  readonly dictionaryHash: string;
  /** The term under which they were numbered; 0 for none. */
  readonly term: Term;
  /** Nothing vouched for the agent's clock when it stamped them. */
  readonly isClockUncertain: boolean;
  /** They came out of a backlog. */
  readonly isReplayed: boolean;
  readonly entries: readonly BlockEntry[];
}

/** A sample that was found; its tag index is set when its dictionary is chosen. */
export type FoundSample = Omit<Sample, 'tagIndex'> & { tagIndex: number };

/** What an archive has of one number. `Tag`: how it names tags. */
export type FoundEntry<Tag> = { readonly sequence: number } & (
  | { readonly tag: Tag; readonly sample: FoundSample; readonly marks: number }
  | { readonly other: Exclude<BlockEntry, Sample> }
);

/** A dictionary that blocks of the stream used. */
export interface UsedDictionary<Tag> {
  readonly hash: string;
  /** `undefined`: it does not name the tag. */
  readonly indexOf: (tag: Tag) => number | undefined;
}

export interface RunsOf<Tag> {
  readonly streamId: string;
  /** The newest first: whichever names a tag labels it the same. */
  readonly dictionaries: readonly UsedDictionary<Tag>[];
  readonly terms: SequenceSteps;
}

/** What all entries of a run have in common. */
interface Common<Tag> {
  readonly dictionary: UsedDictionary<Tag>;
  readonly term: Term;
  /** `null`: no sample has told yet. */
  marks: number | null;
}

/** The marks that say how a sample came; the others are given anew where it is compared anew. */
const MARKS_OF_BLOCK = Mark.replayed | Mark.clockUncertain;

/**
 * Groups entries, ascending, into runs. What no dictionary of the stream names is left out, as if it was not
 * there.
 */
export function entryRuns<Tag>(found: readonly FoundEntry<Tag>[], of: RunsOf<Tag>): EntryRun[] {
  const runs: EntryRun[] = [];
  const first = found[0]?.sequence ?? 0;
  const isOneTerm = stepsWithin(of.terms, { first, last: found.at(-1)?.sequence ?? first }).length <= 1;
  const oneTerm = stepAt(of.terms, first);
  let common = null as Common<Tag> | null;
  let entries: BlockEntry[] = [];
  let next = 0;
  const close = (): void => {
    if (common !== null && entries.length > 0) runs.push(runOf(of.streamId, common, { entries, next }));
    entries = [];
  };
  for (const each of found) {
    const term = isOneTerm ? oneTerm : stepAt(of.terms, each.sequence);
    const isNext = each.sequence === next && common !== null && common.term === term;
    const index = isNext && common !== null ? indexIn(common, each) : undefined;
    if (index === undefined) {
      close();
      const dictionary = dictionaryOf(of.dictionaries, each, common?.dictionary);
      if (dictionary === undefined) {
        next = 0;
        continue;
      }
      common = { dictionary, term, marks: null };
    }
    entries.push(entryOf(common as Common<Tag>, each));
    next = each.sequence + 1;
  }
  close();
  return runs;
}

/** The tag index that an entry has in a run; `undefined`: it does not belong there. */
function indexIn<Tag>({ dictionary, marks }: Common<Tag>, each: FoundEntry<Tag>): number | undefined {
  if ('other' in each) return 0;
  if (marks !== null && marks !== (each.marks & MARKS_OF_BLOCK)) return undefined;
  return dictionary.indexOf(each.tag);
}

/** The one that was used before, if that will do. */
function dictionaryOf<Tag>(
  dictionaries: readonly UsedDictionary<Tag>[],
  each: FoundEntry<Tag>,
  before: UsedDictionary<Tag> | undefined,
): UsedDictionary<Tag> | undefined {
  const all = before === undefined ? dictionaries : [before, ...dictionaries];
  return 'other' in each ? all[0] : all.find(({ indexOf }) => indexOf(each.tag) !== undefined);
}

function entryOf<Tag>(common: Common<Tag>, each: FoundEntry<Tag>): BlockEntry {
  if ('other' in each) return each.other;
  common.marks = each.marks & MARKS_OF_BLOCK;
  each.sample.tagIndex = common.dictionary.indexOf(each.tag) ?? 0;
  return each.sample;
}

function runOf<Tag>(
  streamId: string,
  { dictionary, term, marks }: Common<Tag>,
  { entries, next }: { readonly entries: readonly BlockEntry[]; readonly next: number },
): EntryRun {
  const has = (mark: number): boolean => ((marks ?? 0) & mark) !== 0;
  return {
    ...{ streamId, firstSequence: next - entries.length, dictionaryHash: dictionary.hash, term, entries },
    ...{ isClockUncertain: has(Mark.clockUncertain), isReplayed: has(Mark.replayed) },
  };
}
