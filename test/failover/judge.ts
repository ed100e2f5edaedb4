import type { Line } from '../../src/config/model.ts';
import { parseTimeUs } from '../../src/domain/units.ts';
import { stepMsOf } from '../../src/sim/modbus/behaviour.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { sleep } from '../integration/support/until.ts';
import { SCAN_MS } from './pair-site.ts';
import { SEED, type ServerPair } from './server-pair.ts';

/*
 * What the simulators recorded against what the archive tells. Of counters that change with every scan each
 * value comes once, so a value is a scan slot.
 */

interface Row {
  readonly value: string;
  readonly timeUs: number;
  readonly term: number;
  /** The device's own time, where it gives one. */
  readonly deviceUs: number | null;
  readonly isChange: boolean;
  readonly isHidden: boolean;
}

export interface Span {
  readonly fromUs: number;
  readonly toUs: number;
}

interface Told {
  /** Ascending in time. */
  readonly rows: readonly Row[];
  readonly gaps: readonly Span[];
}

/** Around a failover, all tags together. */
export interface Judgement {
  readonly tags: number;
  /** (tag, scan slot)s of polled tags that nothing tells of, in pauses that a takeover falls into. */
  readonly lostSlots: number;
  /** Those of them in which the plant answered somebody: in the others no instance asked. */
  readonly answeredSlots: number;
  /** The same in other pauses of more than three scans: the active instance polled late. */
  readonly lateSlots: number;
  /** Values that the plant queued for a subscription and that nothing tells of. */
  readonly lostValues: number;
  /** The longest pause of a tag, ms. */
  readonly holeMs: number;
  /** Pauses of more than late polling explains of which a part is not declared as a gap. */
  readonly undeclared: number;
  /** Values that the default view shows twice, and not as the value that still holds when another begins. */
  readonly doubled: number;
  /**
   * Of a subscription: shown as the device timed it, and once more, by the time at which the new instance
   * read it, because it came behind the snapshot of the takeover.
   */
  readonly retimed: number;
  /** Values that no simulator served. */
  readonly foreign: number;
  /** Rows that the default view shows under a lower term after those of a higher one. */
  readonly disordered: number;
  /** Rows that it hides, since another instance tells better. */
  readonly marked: number;
  /** Of a row that came first under each term but the first, the time, integer µs. */
  readonly firstOfTermUs: readonly number[];
  readonly findings: readonly string[];
}

/** What `expect` finds in a judgement without a fault. */
export const FAULTLESS = { undeclared: 0, doubled: 0, foreign: 0, disordered: 0, findings: [] };

/** Blocks are sealed at 250 ms and committed within 100 ms more; on a busy machine it takes longer. */
const SETTLE_MS = 1200;
/** Polls may be so many scans apart, with a value that one of them sees twice, before it is a pause. */
const PAUSE_SCANS = 3;
/** On a busy machine polls are late; so much is not declared. */
const UNDECLARED_MAX_US = (2 * SCAN_MS + 1000) * 1000;
/** Between the record of the plant and the time that a reader gives, if their clocks agree. */
const NOTED_US = 50_000;
const ON_ITS_WAY_US = 500_000;
const FINDINGS_MAX = 10;

/**
 * Judges what happened from a moment on until now.
 * @param takeovers from each failure until the other instance was active
 */
export async function judge(
  pair: ServerPair,
  fromUs: number,
  takeovers: readonly Span[] = [],
): Promise<Judgement> {
  const toUs = pair.nowUs;
  await sleep(SETTLE_MS);
  const findings: string[] = [];
  const parts = await Promise.all(
    quickTags(pair).map(async ({ name: tag, isPolled }) => {
      const told = await read(pair, { tag, fromUs, toUs });
      const find = (text: string): void => void findings.push(`${tag}: ${text}`);
      // After the archive: a clock that is late tells of what came since.
      const recorded = pair.served.filter((value) => value.tag === tag);
      return judgeTag(told, recorded, { isPolled, find, takeovers, fromUs, untilUs: toUs - ON_ITS_WAY_US });
    }),
  );
  const sum = (
    key:
      | 'lostSlots'
      | 'answeredSlots'
      | 'lateSlots'
      | 'retimed'
      | 'lostValues'
      | 'undeclared'
      | 'doubled'
      | 'foreign'
      | 'disordered'
      | 'marked',
  ): number => parts.reduce((total, part) => total + part[key], 0);
  return {
    tags: parts.length,
    lostSlots: sum('lostSlots'),
    answeredSlots: sum('answeredSlots'),
    lateSlots: sum('lateSlots'),
    lostValues: sum('lostValues'),
    holeMs: Math.max(...parts.map(({ holeMs }) => holeMs)),
    undeclared: sum('undeclared'),
    doubled: sum('doubled'),
    retimed: sum('retimed'),
    foreign: sum('foreign'),
    disordered: sum('disordered'),
    marked: sum('marked'),
    firstOfTermUs: firstOfTerms(parts.flatMap(({ shown }) => shown)),
    findings: findings.slice(0, FINDINGS_MAX),
  };
}

interface QuickTag {
  readonly name: string;
  readonly isPolled: boolean;
}

/** Counters whose value changes with every scan, and those of subscriptions. */
function quickTags({ site }: ServerPair): QuickTag[] {
  const lines = site.processes.flatMap((process): readonly Line[] => process.lines);
  return lines.flatMap((line): QuickTag[] => {
    if (line.driver === 'opcua') {
      return line.stations.flatMap(({ tags }) => tags.map(({ name }) => ({ name, isPolled: false })));
    }
    const tags = line.stations.flatMap((station) => station.tags);
    const quick = tags.filter((tag) => stepMsOf(tag, SEED) === tag.scanMs);
    return quick.map(({ name }) => ({ name, isPolled: true }));
  });
}

async function read(pair: ServerPair, query: { tag: string; fromUs: number; toUs: number }): Promise<Told> {
  const rows: Row[] = [];
  const gaps: Span[] = [];
  for await (const line of pair.queries.query({ ...query, withMarked: true })) {
    if (line.kind === 'segment' && line.state === 'gap') {
      gaps.push({ fromUs: timeUs(line.from), toUs: timeUs(line.to) });
    } else if (line.kind === 'sample' && line.state !== 'before' && line.value !== null) {
      const isHidden = line.marks.some((mark) => mark === 'overlap' || mark === 'duplicate');
      const isChange = line.cause === 'change';
      rows.push({
        value: String(line.value),
        timeUs: timeUs(line.time),
        deviceUs: line.deviceTime === null ? null : timeUs(line.deviceTime),
        term: line.term,
        isChange,
        isHidden,
      });
    }
  }
  return { rows: rows.toSorted((a, b) => a.timeUs - b.timeUs), gaps };
}

interface Judged {
  readonly isPolled: boolean;
  readonly find: (text: string) => void;
  readonly takeovers: readonly Span[];
  readonly fromUs: number;
  /** What was served later may still be on its way. */
  readonly untilUs: number;
}

function judgeTag({ rows, gaps }: Told, served: readonly ServedValue[], judged: Judged) {
  const { isPolled, find, takeovers } = judged;
  const view = rows.filter(({ isHidden }) => !isHidden);
  const shown = view.filter((row) => !view.some((other) => isRetimed(other, row)));
  const values = new Set(served.map(({ value }) => String(value)));
  const counts = {
    undeclared: 0,
    doubled: 0,
    retimed: view.length - shown.length,
    foreign: 0,
    disordered: 0,
    lostSlots: 0,
    answeredSlots: 0,
    lateSlots: 0,
    holeMs: 0,
  };
  const seen = new Set<string>();
  for (const [at, row] of shown.entries()) {
    const before = shown[at - 1];
    if (!values.has(row.value)) {
      counts.foreign += 1;
      find(`${row.value} was never served`);
    }
    const stillHolds = !row.isChange && before?.value === row.value && before.timeUs < row.timeUs;
    if (seen.has(row.value) && !stillHolds) {
      counts.doubled += 1;
      find(`${row.value} under term ${row.term} at ${row.timeUs} is shown twice`);
    }
    seen.add(row.value);
    if (before === undefined) continue;
    if (row.term < before.term) {
      counts.disordered += 1;
      find(`term ${row.term} at ${row.timeUs} comes after term ${before.term} at ${before.timeUs}`);
    }
    if (isPolled)
      countPause({ fromUs: before.timeUs, toUs: row.timeUs }, { gaps, takeovers, served, counts, find });
  }
  const lostValues = isPolled ? 0 : countLost(served, seen, judged);
  return { ...counts, lostValues, shown, marked: rows.length - view.length };
}

/** A change that the new instance read too late to keep its time, which the former one tells as well. */
function isRetimed(retimed: Row, former: Row): boolean {
  const { isChange, deviceUs, timeUs, term, value } = retimed;
  const isLater = isChange && deviceUs !== null && deviceUs !== timeUs;
  return isLater && former.timeUs === deviceUs && former.value === value && former.term < term;
}

function countLost(served: readonly ServedValue[], seen: ReadonlySet<string>, judged: Judged): number {
  const { find, fromUs, untilUs } = judged;
  const wanted = served.filter(
    ({ value, sourceTimeUs }) =>
      value !== null && sourceTimeUs !== null && sourceTimeUs >= fromUs && sourceTimeUs < untilUs,
  );
  const lost = new Set(wanted.map(({ value }) => String(value))).difference(seen);
  for (const value of lost) find(`${value} is not told`);
  return lost.size;
}

interface Pauses {
  readonly gaps: readonly Span[];
  readonly takeovers: readonly Span[];
  readonly served: readonly ServedValue[];
  readonly counts: Record<'undeclared' | 'lostSlots' | 'answeredSlots' | 'lateSlots' | 'holeMs', number>;
  readonly find: (text: string) => void;
}

function countPause({ fromUs, toUs }: Span, { gaps, takeovers, served, counts, find }: Pauses): void {
  const pauseMs = (toUs - fromUs) / 1000;
  counts.holeMs = Math.max(counts.holeMs, pauseMs);
  if (pauseMs < PAUSE_SCANS * SCAN_MS) return;
  const isTakeover = takeovers.some((takeover) => takeover.fromUs < toUs && takeover.toUs > fromUs);
  const slots = Math.round(pauseMs / SCAN_MS) - 1;
  if (isTakeover) {
    const answers = served.filter((each) => {
      return each.servedAtUs > fromUs + NOTED_US && each.servedAtUs < toUs - NOTED_US;
    });
    counts.lostSlots += slots;
    counts.answeredSlots += new Set(answers.map(({ value }) => String(value))).size;
  } else counts.lateSlots += slots;
  const declaredUs = gaps
    .map((gap) => Math.max(0, Math.min(gap.toUs, toUs) - Math.max(gap.fromUs, fromUs)))
    .reduce((sum, us) => sum + us, 0);
  if (toUs - fromUs - declaredUs <= UNDECLARED_MAX_US) return;
  counts.undeclared += 1;
  find(`nothing from ${fromUs} to ${toUs}, and ${declaredUs} µs of it declared`);
}

function firstOfTerms(shown: readonly Row[]): number[] {
  const firstUs = new Map<number, number>();
  for (const { term, timeUs } of shown) {
    firstUs.set(term, Math.min(firstUs.get(term) ?? timeUs, timeUs));
  }
  return [...firstUs]
    .sort((a, b) => a[0] - b[0])
    .slice(1)
    .map(([, timeUs]) => timeUs);
}

function timeUs(text: string): number {
  const parsed = parseTimeUs(text, 0);
  if (parsed === null) throw new Error(`the archive told a time that is none: ${text}`);
  return parsed;
}
