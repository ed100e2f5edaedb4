import { afterEach, expect, test } from 'vitest';
import { PROTOCOL_VERSION_MAX as PRESENT } from '../../src/uplink/messages.ts';
import { FAULTLESS, judge } from '../failover/judge.ts';
import { LOCAL } from '../failover/pair-site.ts';
import { ProtocolDisguise } from '../failover/protocol-disguise.ts';
import { type InstanceNumber, ServerPair } from '../failover/server-pair.ts';
import { sleep, until } from '../integration/support/until.ts';

/*
 * Programs of adjacent protocol versions together, as in a rolling upgrade: real processes, between which a
 * cable makes one of them a program of another version.
 */

const pairs: ServerPair[] = [];

afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair[Symbol.asyncDispose]();
});

async function made(uplink: ProtocolDisguise, peerLink = new ProtocolDisguise()): Promise<ServerPair> {
  const disguises = { uplink, peerLink };
  const pair = await ServerPair.make({ standby: 'hot', withCables: true, disguises });
  pairs.push(pair);
  return pair;
}

async function started(pair: ServerPair): Promise<void> {
  await pair.startKernel();
  await pair.startServer(1);
  await pair.untilRole(1, 'active');
  await pair.startServer(2);
  await untilPeers(pair);
  await untilOnline(pair, 1);
  await sleep(1500);
}

async function untilPeers(pair: ServerPair): Promise<void> {
  await until('the peers to hear each other', async () => {
    return (await pair.member(1)).peer?.state === 'there' && (await pair.member(2)).peer?.state === 'there';
  });
}

/** It has a session, and all that it numbered is with the Kernel. */
async function untilOnline(pair: ServerPair, instance: InstanceNumber): Promise<void> {
  await until(`instance ${instance} to be online`, async () => {
    return (await pair.status(instance)).backlog.state === 'online';
  });
}

async function roles(pair: ServerPair): Promise<string[]> {
  return [(await pair.member(1)).role, (await pair.member(2)).role];
}

function agreedOf(disguise: ProtocolDisguise): Record<string, number[]> {
  return Object.fromEntries([...disguise.agreed].map(([from, versions]) => [from, [...versions]]));
}

/** Ends in order, and begins as another version. */
async function upgraded(pair: ServerPair, instance: InstanceNumber, as: () => void): Promise<void> {
  await pair.server(instance).kill('SIGTERM');
  as();
  await pair.startServer(instance);
  await untilPeers(pair);
}

test('agents of version 1 at a Kernel of the present one: one upgraded, the other, a switch', async () => {
  const uplink = new ProtocolDisguise();
  uplink.speak(1);
  const pair = await made(uplink);
  await started(pair);
  expect(await roles(pair)).toEqual(['active', 'standby']);
  expect((await pair.member(1)).kernelAnswers).toBe(false);
  const sinceUs = pair.nowUs;

  await upgraded(pair, 2, () => uplink.speak(PRESENT, LOCAL[2]));
  // The Kernel knows of leases, and of nobody but the instance that asks for one.
  await pair.untilRole(2, 'active');
  await pair.untilRole(1, 'standby');
  await sleep(1500);
  await upgraded(pair, 1, () => uplink.speak(PRESENT, LOCAL[1]));
  await pair.untilReady(1);
  const backUs = pair.nowUs;
  expect(await pair.switch('kernel', '--to', '1')).toMatchObject({ code: 0, stderr: '' });
  await pair.untilActive(1, backUs);
  await pair.untilRole(2, 'standby');
  await sleep(1500);
  const judgement = await judge(pair, sinceUs - 1_000_000);
  console.info('agents of version 1', judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(uplink.breaches).toEqual([]);
  expect(agreedOf(uplink)).toEqual({ [LOCAL[1]]: [1, PRESENT], [LOCAL[2]]: [1, PRESENT] });
});

test('a Kernel of version 1: the peer link decides, both backlogs come; it is upgraded', async () => {
  const uplink = new ProtocolDisguise();
  uplink.speak(1);
  const pair = await made(uplink);
  await started(pair);
  const sinceUs = pair.nowUs;

  // An outage, in which the active one ends: its backlog is on its own disk, and mirrored.
  await pair.kernel.kill('SIGKILL');
  await sleep(2000);
  await pair.server(1).kill('SIGKILL');
  const activeUs = await pair.untilActive(2, sinceUs);
  await sleep(1000);
  await pair.startKernel();
  await untilOnline(pair, 2);
  await pair.startServer(1);
  await untilPeers(pair);
  await untilOnline(pair, 1);
  expect(await roles(pair)).toEqual(['standby', 'active']);
  expect(uplink.breaches).toEqual([]);

  // The Kernel is upgraded.
  await pair.kernel.kill('SIGTERM');
  uplink.speak(PRESENT);
  await pair.startKernel();
  await until('the Kernel to grant a lease', async () => {
    const { kernelAnswers, leaseMs } = await pair.member(2);
    return kernelAnswers && leaseMs !== null;
  });
  await sleep(1500);
  expect(await roles(pair)).toEqual(['standby', 'active']);
  const judgement = await judge(pair, sinceUs - 1_000_000, [{ fromUs: sinceUs, toUs: activeUs }]);
  console.info('a Kernel of version 1', judgement);
  expect(judgement).toMatchObject(FAULTLESS);
  expect(judgement.holeMs).toBeLessThan(3000);
  expect(uplink.breaches).toEqual([]);
});

test('all of a later version: the present one is agreed upon, unknown fields are passed over', async () => {
  const uplink = new ProtocolDisguise();
  const peerLink = new ProtocolDisguise();
  uplink.speak(PRESENT + 1);
  peerLink.speak(PRESENT + 1);
  const pair = await made(uplink, peerLink);
  await started(pair);
  await pair.untilReady(2);
  const sinceUs = pair.nowUs;
  // The backlog of the one is delivered through the other, over the mirror.
  pair.kernelCable?.pull(LOCAL[1]);
  const activeUs = await pair.untilActive(2, sinceUs);
  await pair.untilRole(1, 'standby');
  await until('the backlog of instance 1 to be empty', async () => {
    return (await pair.status(1)).backlog.samples === 0;
  });
  pair.kernelCable?.plugIn(LOCAL[1]);
  await pair.untilReady(1);
  const backUs = pair.nowUs;
  expect(await pair.switch(2, '--to', '1')).toMatchObject({ code: 0, stderr: '' });
  await pair.untilActive(1, backUs);
  await sleep(1500);
  const judgement = await judge(pair, sinceUs - 1_000_000, [{ fromUs: sinceUs, toUs: activeUs }]);
  console.info('all of a later version', judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(agreedOf(uplink)).toEqual({ [LOCAL[1]]: [PRESENT], [LOCAL[2]]: [PRESENT] });
  expect([...peerLink.agreed.values()].flatMap((versions) => [...versions])).toEqual([PRESENT]);
});
