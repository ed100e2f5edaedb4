import { type Judgement, judge, type Span } from '../test/failover/judge.ts';
import { LOCAL } from '../test/failover/pair-site.ts';
import { type InstanceNumber, ServerPair } from '../test/failover/server-pair.ts';
import { sleep } from '../test/integration/support/until.ts';
import type { Bench, BenchOptions, Figure } from './support/bench.ts';
import { quantile, rounded } from './support/measure.ts';

const RUNS = 20;
const QUICK_RUNS = 3;
/** Between two failures, so that each finds a pair at rest. */
const REST_MS = 700;
/** What is back sooner after a takeover counts as a false alarm, and the next one is waited for longer. */
const OUTAGE_MS = 3000;

export const failoverBench: Bench = {
  about: 'takeover between two comm servers as processes: killed, stopped, cables pulled; and what is lost',
  run: measure,
};

interface Failure {
  /** Makes the active instance fail. */
  readonly fail: (pair: ServerPair, active: InstanceNumber) => Promise<unknown>;
  /** Makes it well again. */
  readonly mend: (pair: ServerPair, failed: InstanceNumber) => Promise<unknown>;
}

const KILL: Failure = {
  fail: (pair, active) => pair.server(active).kill('SIGKILL'),
  mend: (pair, failed) => pair.startServer(failed),
};

const STOP: Failure = {
  fail: async (pair, active) => process.kill(pair.server(active).pid, 'SIGSTOP'),
  mend: async (pair, failed) => process.kill(pair.server(failed).pid, 'SIGCONT'),
};

/** Everything that the active instance hears of the others falls silent at once. */
const CABLE: Failure = {
  fail: async (pair, active) => {
    for (const cable of pair.peerCables) cable.pull();
    pair.kernelCable?.pull(LOCAL[active]);
  },
  mend: async (pair, failed) => {
    for (const cable of pair.peerCables) cable.plugIn();
    pair.kernelCable?.plugIn(LOCAL[failed]);
  },
};

type SummedKey =
  | 'lostSlots'
  | 'answeredSlots'
  | 'lateSlots'
  | 'lostValues'
  | 'doubled'
  | 'retimed'
  | 'undeclared'
  | 'marked';

async function measure({ quick, samples }: BenchOptions): Promise<readonly Figure[]> {
  const runs = samples ?? (quick ? QUICK_RUNS : RUNS);
  const kills = await takeovers(runs, { withCables: false, failures: [KILL] });
  const others = await takeovers(runs, { withCables: true, failures: [STOP, CABLE] });
  const [killMs = []] = kills.tookMs;
  const [stopMs = [], cableMs = []] = others.tookMs;
  const judgements = [kills.judgement, others.judgement];
  const sum = (key: SummedKey): number => judgements.reduce((total, judgement) => total + judgement[key], 0);
  const all = `in ${3 * runs} takeovers`;
  return [
    ...times('killMs', 'process killed', { tookMs: killMs, atMost: 1000 }),
    ...times('stopMs', 'process stopped', { tookMs: stopMs, atMost: 2000 }),
    ...times('cableMs', 'all cables of the active one pulled', { tookMs: cableMs, atMost: 2000 }),
    none('lostHot', `(tag, scan slot)s lost ${all}, hot Modbus line`, sum('lostSlots')),
    {
      ...{ key: 'lostHotAnswered', unit: '', about: 'of these the plant answered somebody' },
      value: sum('answeredSlots'),
    },
    none('lostWarm', `values lost ${all}, warm OPC UA line`, sum('lostValues')),
    none('duplicates', `values that the default view shows twice ${all}`, sum('doubled')),
    {
      ...{ key: 'retimed', unit: 'rows', about: 'of OPC UA also shown by the time of reading' },
      value: sum('retimed'),
    },
    none('undeclared', `holes that are not declared ${all}`, sum('undeclared')),
    {
      ...{ key: 'late', unit: '', about: '(tag, scan slot)s at other times, polled too late' },
      value: sum('lateSlots'),
    },
    { key: 'marked', unit: 'rows', about: 'told by both, marked and hidden', value: sum('marked') },
  ];
}

interface Plan {
  readonly withCables: boolean;
  readonly failures: readonly Failure[];
}

interface Measured {
  /** Of each failure the times from it until the other instance is active. */
  readonly tookMs: readonly (readonly number[])[];
  readonly judgement: Judgement;
}

/** One pair whose instances fail in turns. */
async function takeovers(runs: number, { withCables, failures }: Plan): Promise<Measured> {
  await using pair = await ServerPair.started({ standby: 'hot', withOpcua: true, withCables });
  await sleep(2000);
  const sinceUs = pair.nowUs;
  let active: InstanceNumber = 1;
  const tookMs: number[][] = [];
  const spans: Span[] = [];
  for (const { fail, mend } of failures) {
    const took: number[] = [];
    for (let run = 0; run < runs; run++) {
      const other: InstanceNumber = active === 1 ? 2 : 1;
      const failedUs = pair.nowUs;
      await fail(pair, active);
      const activeUs = await pair.untilActive(other, failedUs);
      took.push((activeUs - failedUs) / 1000);
      spans.push({ fromUs: failedUs, toUs: activeUs });
      await sleep(withCables ? OUTAGE_MS : REST_MS);
      await mend(pair, active);
      await pair.untilReady(active);
      await sleep(REST_MS);
      active = other;
    }
    tookMs.push(took);
  }
  const judgement = await judge(pair, sinceUs, spans);
  for (const finding of judgement.findings) process.stderr.write(`${finding}\n`);
  return { tookMs, judgement };
}

function times(
  key: string,
  about: string,
  { tookMs, atMost }: { readonly tookMs: readonly number[]; readonly atMost: number },
): Figure[] {
  const runs = `${tookMs.length} runs`;
  return [
    {
      key: `${key}.p50`,
      unit: 'ms',
      about: `${about}, median of ${runs}`,
      value: rounded(quantile(tookMs, 0.5)),
    },
    {
      ...{ key: `${key}.max`, unit: 'ms', about: `${about}, worst of ${runs}` },
      ...{ value: rounded(quantile(tookMs, 1)), floor: { atMost } },
    },
  ];
}

function none(key: string, about: string, value: number): Figure {
  return { key, unit: '', about, value, floor: { atMost: 0 } };
}
