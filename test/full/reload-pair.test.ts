import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FAULTLESS, judge } from '../failover/judge.ts';
import { type InstanceNumber, ServerPair } from '../failover/server-pair.ts';
import { kom } from '../integration/support/kom.ts';
import { sleep, until } from '../integration/support/until.ts';

/**
 * Two comm servers of one site follow their Kernel to another address, one after the other: roles stay as
 * they are, polling goes on, and each says that the site files differ only until both have reloaded.
 */
test('two comm servers follow by reload, and no role moves', async () => {
  await using pair = await ServerPair.started({ standby: 'hot', withCables: true });
  await sleep(1500);
  const sinceUs = pair.nowUs;
  const file = pair.file('site.json');
  const { listen } = JSON.parse(readFileSync(pair.file('kernel.json'), 'utf8'));
  const site = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...site, kernels: [{ ...site.kernels[0], address: listen }] }));
  const differs = async (instance: InstanceNumber) =>
    (await pair.member(instance)).conditions.some(({ code }) => code === 'site-hash-differs');
  const follows = async (instance: InstanceNumber) => {
    const args = ['reload', file, '--server', `ServerKom${instance}`];
    expect(await kom(args)).toMatchObject({ code: 0, stdout: `the Kernels: ${listen}\n` });
    await until('it to be there', async () => (await pair.status(instance)).uplink.kernel === listen);
  };

  await follows(2);
  await until('both to tell that the files differ', async () => (await differs(1)) && (await differs(2)));
  await sleep(2000);
  await follows(1);
  await until('both to tell nothing', async () => !(await differs(1)) && !(await differs(2)));
  await sleep(3000);

  const members = [await pair.member(1), await pair.member(2)];
  expect(members.map(({ role }) => role)).toEqual(['active', 'standby']);
  for (const { changes } of members) expect(changes.filter(({ atUs }) => atUs > sinceUs)).toEqual([]);
  expect(members.map(({ kernelAnswers }) => kernelAnswers)).toEqual([true, true]);
  const judgement = await judge(pair, sinceUs - 1_000_000, []);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
}, 120_000);
