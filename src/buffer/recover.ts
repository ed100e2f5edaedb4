import { countOf, joinTouching, subtract } from '../domain/coverage.ts';
import { describeError, isKomError } from '../domain/errors.ts';
import { OPEN_END, type SequenceGap } from '../domain/gap.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import { mayBeDamaged, PROBE_NAME } from '../world/probe.ts';
import { SIDE_STORES } from '../world/side-store.ts';
import type { Store } from '../world/store.ts';
import { cutOff, type StreamRecord, withStored } from './chain.ts';
import { type CoreSetup, nextPlace, withGaps } from './core.ts';
import { META_NAME, type MetaState } from './meta.ts';
import { positionOf } from './record.ts';
import { type Scan, scanSegment } from './scan.ts';
import {
  emptySegment,
  gapsOfRanges,
  gapsOfSegment,
  isAcknowledged,
  type Run,
  type SegmentFacts,
  segmentName,
  segmentNumber,
} from './segment.ts';

/** Directories that file systems and operators put beside ours. */
const NOT_OURS: readonly string[] = ['quarantine', 'lost+found', PROBE_NAME, ...SIDE_STORES];
const UNKNOWN_ID = '0'.repeat(32);

/**
 * Makes the state of the meta database agree with what is on the disk; nothing is committed. The open segment
 * may come out open; every stream comes out ended. `isWhole`: the meta database lost nothing.
 * @throws KomError KOM_STORE_LOCKED, or what the disk says when it takes no write, or has no room to open a
 * segment; then nothing is touched
 */
export async function recover(setup: CoreSetup, isWhole: boolean): Promise<MetaState> {
  let state = withNamedStreams(await withPresentSegments(setup));
  state = await withTails(setup, state);
  state = await withFoundSegments(setup, state);
  const isLost = !isWhole || setup.meta.state.streams.length === 0;
  if (isLost) state = withGaps(state, missing(state));
  state = { ...state, streams: state.streams.map(cutOff) };
  return setup.options.policy === 'on-outage' ? withoutAcknowledged(state) : state;
}

/** Sets foreign directories aside and drops the segments whose directories are gone. */
async function withPresentSegments(setup: CoreSetup): Promise<MetaState> {
  const { state } = setup.meta;
  const names = await setup.disk.list();
  for (const name of names) {
    if (name === META_NAME || NOT_OURS.includes(name) || segmentNumber(name) !== undefined) continue;
    await setAside(setup, name);
  }
  const gone = state.segments.filter(
    (each) => each.state !== 'doomed' && each.blocks > 0 && !names.includes(segmentName(each.number)),
  );
  return gone.reduce((next, segment) => withoutSegment(setup, next, segment), state);
}

/** Reads what segments got that were open when they were last used; at most the newest stays open. */
async function withTails(setup: CoreSetup, state: MetaState): Promise<MetaState> {
  let next = state;
  const newest = Math.max(...state.segments.map((each) => each.number));
  for (const segment of state.segments) {
    if (segment.state !== 'open') continue;
    const stream = next.streams.at(-1);
    const scan = await readable(setup, segment.number, (store) => scanSegment(store, segment, stream));
    if (scan === undefined) {
      next = withoutSegment(setup, next, segment);
      await setAside(setup, segmentName(segment.number));
      continue;
    }
    const facts: SegmentFacts = segment.number === newest ? scan.facts : { ...scan.facts, state: 'sealed' };
    next = withScanned(next, { ...scan, facts });
  }
  return next;
}

/** Takes in segments that the meta database does not know: it lost them, or somebody brought them back. */
async function withFoundSegments(setup: CoreSetup, state: MetaState): Promise<MetaState> {
  let next = state;
  for (const name of await setup.disk.list()) {
    const number = segmentNumber(name);
    if (number === undefined || state.segments.some((each) => each.number === number)) continue;
    const scan = await readable(setup, number, (store) => scanWhole(store, number));
    await setup.stores.release(number);
    if (scan !== undefined && isEmpty(scan)) {
      await removeUnused(setup, name);
      continue;
    }
    const isUsable = scan !== undefined && scan.facts.blocks > 0 && !overlaps(next, scan.facts);
    if (!isUsable) {
      await setAside(setup, name);
      continue;
    }
    setup.options.log.warn(
      { segment: number, blocks: scan.facts.blocks },
      'an unlisted segment was taken in',
    );
    const bytes = Math.max(scan.facts.bytes, await setup.disk.usedBytes(name));
    next = withScanned(next, { ...scan, facts: { ...scan.facts, state: 'sealed', bytes } });
  }
  return next;
}

/** What a job gives on a segment that may need repair first; `undefined` if it cannot be read at all. */
async function readable<T>(
  setup: CoreSetup,
  number: number,
  job: (store: Store) => Promise<T>,
): Promise<T | undefined> {
  for (const attempt of ['open', 'repair'] as const) {
    try {
      if (attempt === 'repair') await setup.disk.repair(segmentName(number));
      return await job(await setup.stores.writer(number));
    } catch (error) {
      if (!isKomError(error) || error.code === 'KOM_STORE_LOCKED') throw error;
      setup.options.log.warn({ segment: number, attempt, error: error.message }, 'a segment does not open');
      await setup.stores.release(number).catch(() => undefined);
      if (!(await mayBeDamaged(error, setup.disk, setup.segmentBytes))) throw error;
    }
  }
  return undefined;
}

/** Facts of a segment from nothing but itself. */
export async function scanWhole(store: Store, number: number): Promise<Scan> {
  const [first] = await store.read({ limit: 1 });
  const position = first === undefined ? undefined : positionOf(first.key);
  return await scanSegment(store, emptySegment(number, position ?? FIRST_SEQUENCE));
}

/** The state with what a segment was found to hold. */
export function withScanned(state: MetaState, { facts, lost }: Scan): MetaState {
  const segments = [...state.segments.filter((each) => each.number !== facts.number), facts].sort(
    (a, b) => a.number - b.number,
  );
  let streams = state.streams.map((record) => withStored(record, facts));
  for (const run of facts.runs) {
    if (streams.some((record) => record.info.streamId === run.streamId)) continue;
    streams = [...streams, withStored(foundStream(run, streams), facts)];
  }
  return withGaps({ ...state, segments, streams }, lost);
}

/** A damaged record of a stream leaves its blocks and gaps: whoever sends them must be able to name it. */
export function withNamedStreams(state: MetaState): MetaState {
  let { streams } = state;
  const isKnown = (streamId: string) => streams.some((record) => record.info.streamId === streamId);
  for (const segment of state.segments) {
    if (segment.state === 'doomed') continue;
    for (const run of segment.runs) {
      if (!isKnown(run.streamId)) streams = [...streams, foundStream(run, streams)];
    }
    streams = streams.map((record) => withStored(record, segment));
  }
  for (const gap of state.gaps) {
    if (isKnown(gap.streamId)) continue;
    const found = foundStream(gap, streams);
    const durableThrough = gap.lastSequence === OPEN_END ? 0 : gap.lastSequence;
    streams = [...streams, { ...found, durableThrough, nextSequence: durableThrough + 1 }];
  }
  return { ...state, streams };
}

/** A stream that only its blocks or gaps tell of. */
function foundStream(
  run: Pick<Run, 'streamId' | 'fromUs' | 'toUs'>,
  streams: readonly StreamRecord[],
): StreamRecord {
  return {
    ordinal: (streams.at(-1)?.ordinal ?? 0) + 1,
    info: { streamId: run.streamId, bootId: UNKNOWN_ID, startedAtUs: run.fromUs, previous: null },
    lostAtMost: 0,
    ackedThrough: 0,
    isKnown: false,
    durableThrough: 0,
    evictedThrough: 0,
    nextSequence: FIRST_SEQUENCE,
    aliveUntilUs: run.toUs,
    ended: null,
  };
}

/** What is neither held nor acknowledged nor declared: after a loss of meta nobody knows why. */
function missing(state: MetaState): SequenceGap[] {
  return state.streams.flatMap((record) => {
    const { streamId } = record.info;
    const runs = state.segments.flatMap((segment) =>
      segment.state === 'doomed' ? [] : segment.runs.filter((run) => run.streamId === streamId),
    );
    const declared = state.gaps
      .filter((gap) => gap.streamId === streamId)
      .map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
    const held = [...runs.flatMap((run) => run.ranges), ...declared].sort((a, b) => a.first - b.first);
    const first = Math.max(FIRST_SEQUENCE, record.ackedThrough + 1);
    if (first > record.durableThrough) return [];
    const ranges = subtract({ first, last: record.durableThrough }, joinTouching(held));
    if (countOf(ranges) === 0) return [];
    const fromUs = Math.min(record.info.startedAtUs, ...runs.map((run) => run.fromUs));
    const toUs = Math.max(record.aliveUntilUs, ...runs.map((run) => run.toUs));
    return gapsOfRanges({ streamId, fromUs, toUs }, ranges, 'corrupt');
  });
}

function withoutSegment(setup: CoreSetup, state: MetaState, segment: SegmentFacts): MetaState {
  setup.options.log.error({ segment: segment.number }, 'a segment is lost');
  const gaps = gapsOfSegment(segment, ackedIn(state), 'corrupt');
  const segments = state.segments.filter((each) => each.number !== segment.number);
  return withGaps({ ...state, segments, totals: { ...state.totals, ...nextPlace(state) } }, gaps);
}

function withoutAcknowledged(state: MetaState): MetaState {
  const segments = state.segments.map(
    (each): SegmentFacts =>
      each.blocks > 0 && isAcknowledged(each, ackedIn(state)) ? { ...each, state: 'doomed' } : each,
  );
  return { ...state, segments };
}

function ackedIn(state: MetaState): (streamId: string) => number {
  return (streamId) => state.streams.find((each) => each.info.streamId === streamId)?.ackedThrough ?? 0;
}

/** Some of its positions are those of a segment that is listed. */
export function overlaps(state: MetaState, facts: SegmentFacts): boolean {
  return state.segments.some(
    (each) =>
      each.blocks > 0 && each.firstPosition <= facts.lastPosition && facts.firstPosition <= each.lastPosition,
  );
}

/** Nothing was ever written to it: it was made ahead of need. */
export function isEmpty({ facts, lost }: Scan): boolean {
  return facts.lastPosition < facts.firstPosition && lost.length === 0 && facts.dictionaries.length === 0;
}

/** Nor does a start fail for one that does not go. */
async function removeUnused(setup: CoreSetup, name: string): Promise<void> {
  try {
    await setup.disk.remove(name);
  } catch (error) {
    setup.options.log.warn({ name, error: describeError(error) }, 'an empty segment could not be deleted');
  }
}

/** A start does not fail for a directory that does not move. */
async function setAside(setup: CoreSetup, name: string): Promise<void> {
  try {
    await setup.quarantine.take(name);
  } catch (error) {
    setup.options.log.warn({ name, error: describeError(error) }, 'a directory could not be set aside');
  }
}
