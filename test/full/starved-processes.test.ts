import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CpuQuota } from '../failover/cpu-quota.ts';
import { FAULTLESS, judge } from '../failover/judge.ts';
import { type InstanceNumber, ServerPair } from '../failover/server-pair.ts';
import { slowFsync } from '../failover/slow-fsync.ts';
import type { Kom } from '../integration/support/kom.ts';
import { sleep } from '../integration/support/until.ts';

/*
 * Small boxes with `profile: small`, as real processes:
 * little CPU and slow disks are no reason for a takeover.
 */

const RUN_MS = 120_000;

test('two minutes of processes with a tenth of a CPU and 2 s in a fsync move no role', async (context) => {
  using quota = CpuQuota.find();
  if (quota === null) {
    console.warn('a tenth of a CPU skipped: control groups cannot be made here');
    context.skip('no control groups');
    return;
  }
  await using pair = await ServerPair.make({ standby: 'hot', profile: 'small' });
  const env = slowFsync(pair.directory, 2000);
  if (env === null) {
    console.warn('slow fsyncs skipped: there is no C compiler');
    context.skip('no C compiler');
    return;
  }
  await pair.startKernel();
  await pair.startServer(1, env);
  await pair.untilRole(1, 'active', 60_000);
  await pair.startServer(2, env);
  await pair.untilReady(2);
  for (const instance of [1, 2] as const) quota.limit(pidsOf(pair.server(instance)), 0.1);
  await sleep(10_000);
  const sinceUs = pair.nowUs;
  await sleep(RUN_MS / 2);
  await pair.kernel.kill('SIGKILL');
  await sleep(RUN_MS / 2);
  const throttled = quota.throttled;
  const moves = await Promise.all(([1, 2] as const).map((instance) => movesOf(pair, instance, sinceUs)));
  await pair.startKernel();
  await sleep(20_000);
  const judgement = await judge(pair, sinceUs);
  console.info('a tenth of a CPU', { throttled, moves, ...judgement });
  expect(moves).toEqual([[], []]);
  expect(judgement).toMatchObject(FAULTLESS);
  // It needs little more than half of that, and is held up now and then.
  for (const periods of throttled) expect(periods).toBeGreaterThan(0);
});

async function movesOf(pair: ServerPair, instance: InstanceNumber, sinceUs: number): Promise<string[]> {
  const { changes } = await pair.member(instance);
  return changes.filter(({ atUs }) => atUs > sinceUs).map(({ phase, why }) => `${phase}: ${why}`);
}

/** A launcher and the process that it started, or the one that is both. */
function pidsOf({ pid }: Kom): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [
    pid,
    ...children
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  ];
}
