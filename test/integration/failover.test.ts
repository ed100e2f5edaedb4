import { expect, test } from 'vitest';
import { FAULTLESS, judge } from '../failover/judge.ts';
import { ServerPair } from '../failover/server-pair.ts';
import { sleep } from './support/until.ts';

test('kill -9 of the active instance: takeover within a second, nothing of a hot line is lost', async () => {
  await using pair = await ServerPair.started({ standby: 'hot' });
  await sleep(1500);
  const killedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  const activeUs = await pair.untilActive(2, killedUs);
  await sleep(1500);
  const judgement = await judge(pair, killedUs - 1_500_000, [{ fromUs: killedUs, toUs: activeUs }]);
  console.info('kill -9, hot line', { takeoverMs: (activeUs - killedUs) / 1000, ...judgement });
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(judgement.firstOfTermUs).toHaveLength(1);
  expect(activeUs - killedUs).toBeLessThan(1_000_000);
  // What the new one supplied to be sure is kept, and a running Kernel shows it on demand.
  expect(judgement.marked).toBeGreaterThan(0);
  const range = { fromUs: killedUs - 1_500_000, toUs: activeUs, tags: [], format: 'csv' } as const;
  const shown = await pair.queries.export({ ...range, path: pair.file('shown.csv') });
  const all = await pair.queries.export({ ...range, path: pair.file('all.csv'), withMarked: true });
  expect(all).toBeGreaterThan(shown);
});
