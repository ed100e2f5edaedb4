import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { FAULTLESS, type Judgement, judge, type Span } from '../failover/judge.ts';
import { LOCAL } from '../failover/pair-site.ts';
import { type InstanceNumber, type PairOptions, ServerPair } from '../failover/server-pair.ts';
import { kom } from '../integration/support/kom.ts';
import { sleep, until } from '../integration/support/until.ts';

/** Real comm servers that fail, one way after the other. What is measured is printed. */

const pairs: ServerPair[] = [];

afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair[Symbol.asyncDispose]();
});

async function started(options: PairOptions & { readonly kernel?: boolean }): Promise<ServerPair> {
  const pair = await ServerPair.started(options);
  pairs.push(pair);
  // So that there is something before it.
  await sleep(1500);
  return pair;
}

function tell(story: string, takeoverUs: number | null, judgement: Judgement | null): void {
  const takeoverMs = takeoverUs === null ? null : Math.round(takeoverUs / 1000);
  console.info(story, { takeoverMs, ...judgement });
}

/** Judges from somewhat before until a moment after now. */
async function judged(pair: ServerPair, sinceUs: number, ...takeovers: Span[]): Promise<Judgement> {
  await sleep(1500);
  return await judge(pair, sinceUs - 1_000_000, takeovers);
}

async function roles(pair: ServerPair): Promise<string[]> {
  return [(await pair.member(1)).role, (await pair.member(2)).role];
}

/** Every change of a role since a moment. */
async function changes(pair: ServerPair, instance: InstanceNumber, sinceUs: number): Promise<string[]> {
  const member = await pair.member(instance);
  return member.changes.filter(({ atUs }) => atUs > sinceUs).map(({ phase }) => phase);
}

test('kill -9 of the active one, warm line of OPC UA: no value is lost', async () => {
  const pair = await started({ standby: 'hot', withOpcua: true });
  const killedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  const activeUs = await pair.untilActive(2, killedUs);
  await sleep(1500);
  // What the killed one had not delivered is on its disk or was told by the other.
  const judgement = await judged(pair, killedUs, { fromUs: killedUs, toUs: activeUs });
  tell('kill -9, warm OPC UA', activeUs - killedUs, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0, lostValues: 0, retimed: 0 });
  expect(activeUs - killedUs).toBeLessThan(1_000_000);
});

test.each(['cold', 'warm', 'hot'] as const)('kill -9 of the active one, %s standby', async (standby) => {
  const pair = await started({ standby });
  const killedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  const activeUs = await pair.untilActive(2, killedUs);
  const judgement = await judged(pair, killedUs, { fromUs: killedUs, toUs: activeUs });
  tell(`kill -9, ${standby}`, activeUs - killedUs, judgement);
  expect(judgement).toMatchObject(FAULTLESS);
  expect(activeUs - killedUs).toBeLessThan(1_000_000);
  expect(judgement.holeMs).toBeLessThan(2000);
  if (standby === 'hot') expect(judgement.lostSlots).toBe(0);
  // The old run comes back, and stands by.
  await pair.startServer(1);
  await pair.untilReady(1);
  expect(await roles(pair)).toEqual(['standby', 'active']);
});

test('SIGSTOP of the active one, and SIGCONT: it does nothing before it knows better', async () => {
  const pair = await started({ standby: 'hot' });
  const stoppedUs = pair.nowUs;
  process.kill(pair.server(1).pid, 'SIGSTOP');
  const activeUs = await pair.untilActive(2, stoppedUs);
  await sleep(3000);
  const continuedUs = pair.nowUs;
  process.kill(pair.server(1).pid, 'SIGCONT');
  await pair.untilRole(1, 'standby');
  const judgement = await judged(pair, stoppedUs, { fromUs: stoppedUs, toUs: activeUs });
  tell('SIGSTOP, hot', activeUs - stoppedUs, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(activeUs - stoppedUs).toBeLessThan(2_000_000);
  expect(await roles(pair)).toEqual(['standby', 'active']);
  expect(await changes(pair, 1, continuedUs)).toEqual(['suspended', 'standing-down', 'standby']);
  expect(await changes(pair, 2, activeUs)).toEqual([]);
});

test('the peer link pulled, with a Kernel: nothing moves', async () => {
  const pair = await started({ standby: 'hot', withCables: true });
  const pulledUs = pair.nowUs;
  for (const cable of pair.peerCables) cable.pull();
  await sleep(5000);
  expect((await pair.member(2)).conditions.map(({ code }) => code)).toContain('peer-silent');
  const judgement = await judged(pair, pulledUs);
  for (const cable of pair.peerCables) cable.plugIn();
  await pair.untilReady(2);
  tell('peer link pulled', null, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0, firstOfTermUs: [] });
  for (const instance of [1, 2] as const) expect(await changes(pair, instance, pulledUs)).toEqual([]);
});

test('the uplink of the active one pulled: the Kernel makes the other one active', async () => {
  const pair = await started({ standby: 'hot', withCables: true });
  const pulledUs = pair.nowUs;
  pair.kernelCable?.pull(LOCAL[1]);
  const activeUs = await pair.untilActive(2, pulledUs);
  await pair.untilRole(1, 'standby');
  await sleep(1500);
  // What the first one holds comes when its cable is back.
  pair.kernelCable?.plugIn(LOCAL[1]);
  await sleep(4000);
  const judgement = await judged(pair, pulledUs, { fromUs: pulledUs, toUs: activeUs });
  tell('uplink pulled, hot', activeUs - pulledUs, judgement);
  expect(activeUs - pulledUs).toBeLessThan(2_000_000);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(await roles(pair)).toEqual(['standby', 'active']);
});

test('both uplinks dead, then the active one dies (hole A): the standby takes over', async () => {
  const pair = await started({ standby: 'cold' });
  await pair.kernel.kill('SIGKILL');
  await sleep(3000);
  const killedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  const activeUs = await pair.untilActive(2, killedUs);
  expect(activeUs - killedUs).toBeLessThan(1_000_000);
  await sleep(2000);
  await pair.startKernel();
  await sleep(3000);
  // What the dead one held is on its disk.
  await pair.startServer(1);
  await pair.untilReady(1);
  await sleep(2000);
  const judgement = await judged(pair, killedUs, { fromUs: killedUs, toUs: activeUs });
  tell('hole A, cold', activeUs - killedUs, judgement);
  expect(judgement).toMatchObject(FAULTLESS);
  expect(judgement.holeMs).toBeLessThan(2000);
  expect(await roles(pair)).toEqual(['standby', 'active']);
});

test('comm server 1 destroyed with its disk in an outage: its backlog comes from the mirror', async () => {
  const pair = await started({ standby: 'hot', withOpcua: true });
  const outageUs = pair.nowUs;
  await pair.kernel.kill('SIGKILL');
  // Longer than the standby remembers what it saw itself.
  await sleep(6000);
  expect((await pair.status(1)).backlog.samples).toBeGreaterThan(200);
  const destroyedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  rmSync(pair.file('agent1'), { recursive: true });
  const activeUs = await pair.untilActive(2, destroyedUs);
  await sleep(1000);
  await pair.startKernel();
  await until('the backlog and the mirror to be delivered', async () => {
    const { backlog, member } = await pair.status(2);
    return backlog.state === 'online' && member?.mirror?.heldSamples === 0;
  });
  // A new machine, which knows of nothing.
  await pair.startServer(1);
  await pair.untilReady(1);
  await sleep(2000);
  const judgement = await judged(pair, outageUs, { fromUs: destroyedUs, toUs: activeUs });
  tell('server 1 destroyed', activeUs - destroyedUs, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0, lostValues: 0 });
  expect(activeUs - destroyedUs).toBeLessThan(1_000_000);
  expect(await roles(pair)).toEqual(['standby', 'active']);
});

test('both start cold without a Kernel (hole B): exactly one becomes active', async () => {
  const pair = await ServerPair.make({ standby: 'cold' });
  pairs.push(pair);
  const startedUs = pair.nowUs;
  await Promise.all([pair.startServer(1), pair.startServer(2)]);
  const activeUs = await pair.untilActive(1, startedUs);
  await sleep(3000);
  expect(await roles(pair)).toEqual(['active', 'standby']);
  expect(await changes(pair, 2, startedUs)).not.toContain('active');
  await pair.startKernel();
  await sleep(3000);
  const judgement = await judged(pair, activeUs + 1_500_000);
  tell('hole B', activeUs - startedUs, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(await roles(pair)).toEqual(['active', 'standby']);
});

/** From when an instance began to stand down until the other one was active. */
async function handedOver(pair: ServerPair, from: InstanceNumber, sinceUs: number): Promise<Span> {
  const toUs = await pair.untilActive(from === 1 ? 2 : 1, sinceUs);
  const { changes: all } = await pair.member(from);
  const fromUs = all.find(({ phase, atUs }) => phase === 'standing-down' && atUs > sinceUs)?.atUs;
  return { fromUs: fromUs ?? sinceUs, toUs };
}

test.each([1, 'kernel'] as const)('kom switch there and back, asked of %s', async (way) => {
  const pair = await started({ standby: 'hot' });
  const sinceUs = pair.nowUs;
  expect(await pair.switch(way, '--to', '2')).toMatchObject({ code: 0, stderr: '' });
  const there = await handedOver(pair, 1, sinceUs);
  await pair.untilRole(1, 'standby');
  await sleep(2000);
  const backUs = pair.nowUs;
  expect(await pair.switch(way, '--to', '1')).toMatchObject({ code: 0, stderr: '' });
  const back = await handedOver(pair, 2, backUs);
  await pair.untilRole(2, 'standby');
  const judgement = await judged(pair, sinceUs, there, back);
  tell(`switch there and back by ${way}, hot`, there.toUs - there.fromUs, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  // What is handed over in order is not supplied once more, but for two scans and their margin.
  expect(judgement.marked).toBeLessThan(2 * judgement.tags * 6);
});

test('kom switch is refused with a reason while the other one is not there', async () => {
  const pair = await started({ standby: 'cold' });
  await pair.server(2).kill('SIGTERM');
  for (const way of [1, 'kernel'] as const) {
    const refused = await pair.switch(way, '--to', '2');
    expect(refused.code, String(way)).not.toBe(0);
    expect(refused.stdout + refused.stderr, String(way)).toMatch(
      /not connected|silent|not there|about to end/,
    );
  }
  expect((await pair.member(1)).role).toBe('active');
});

test('kom run --process: one alone pairs as ever, and a second program beside it is refused', async () => {
  const pair = await ServerPair.make({ standby: 'hot' });
  pairs.push(pair);
  const file = pair.file('site.json');
  const site = JSON.parse(readFileSync(file, 'utf8'));
  const { pumps } = site.processes.KomA.lines;
  const valves = { ...pumps, stations: { P2: pumps.stations.P1 } };
  site.processes.KomB = { ...site.processes.KomA, preferredInstance: 2, lines: { valves } };
  writeFileSync(file, JSON.stringify(site));
  await pair.startKernel();
  await pair.startServer(1, {}, ['--process', 'KomA']);
  await pair.untilRole(1, 'active');
  await pair.startServer(2);
  await pair.untilReady(2);
  // The control socket and the peer port are the server's, for all of its processes.
  const second = await kom(['run', file, '--server', 'ServerKom1', '--process', 'KomB']);
  expect(second.code).not.toBe(0);
  expect(second.stdout + second.stderr).toMatch(/KOM_ALREADY_RUNNING/);
  const sinceUs = pair.nowUs;
  await sleep(3000);
  expect(await roles(pair)).toEqual(['active', 'standby']);
  for (const instance of [1, 2] as const) expect(await changes(pair, instance, sinceUs)).toEqual([]);
  // Of KomB the other server has the only instance.
  const { stdout } = await kom(['status', '--config', file, '--server', 'ServerKom2', '--json']);
  const [, komB] = JSON.parse(stdout).instances;
  expect(komB).toMatchObject({ process: 'KomB', member: { role: 'active', peer: null } });
  const killedUs = pair.nowUs;
  await pair.server(1).kill('SIGKILL');
  expect((await pair.untilActive(2, killedUs)) - killedUs).toBeLessThan(1_000_000);
});

test('clocks three seconds apart, hot polling: the overlap is marked', async (context) => {
  const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
  if (library === undefined || !existsSync(library)) {
    console.warn('clocks apart skipped: the Debian package faketime is not installed');
    context.skip('faketime is not installed');
    return;
  }
  const pair = await ServerPair.make({ standby: 'hot', withCables: true });
  pairs.push(pair);
  await pair.startKernel();
  await pair.startServer(1);
  await pair.untilRole(1, 'active');
  await pair.startServer(2, { LD_PRELOAD: library, FAKETIME: '-3s', FAKETIME_DONT_FAKE_MONOTONIC: '1' });
  await pair.untilReady(2);
  await sleep(1500);
  const pulledUs = pair.nowUs;
  pair.kernelCable?.pull(LOCAL[1]);
  for (const cable of pair.peerCables) cable.pull();
  await pair.untilRole(2, 'active');
  await sleep(3000);
  expect(await roles(pair)).toEqual(['active', 'active']);
  pair.kernelCable?.plugIn();
  pair.kernelCable?.plugIn(LOCAL[1]);
  for (const cable of pair.peerCables) cable.plugIn();
  await pair.untilRole(1, 'standby');
  await sleep(5000);
  const judgement = await judged(pair, pulledUs - 3_000_000);
  tell('clocks 3 s apart', null, judgement);
  expect(judgement).toMatchObject({ doubled: 0, foreign: 0, disordered: 0, undeclared: 0 });
  // Three seconds of its past, and three of both at a time.
  expect(judgement.marked).toBeGreaterThan(judgement.tags * 20);
});

test('cables that come and go within each second move no role', async () => {
  const pair = await started({ standby: 'hot', withCables: true });
  const sinceUs = pair.nowUs;
  const cables = [...pair.peerCables, ...(pair.kernelCable === null ? [] : [pair.kernelCable])];
  for (let second = 0; second < 20; second++) {
    for (const cable of cables) {
      if (second % 2 === 0) cable.cut();
      else cable.pull();
    }
    await sleep(500);
    for (const cable of cables) cable.plugIn();
    await sleep(500);
  }
  await pair.untilReady(2);
  const judgement = await judged(pair, sinceUs);
  tell('all cables flap', null, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0, firstOfTermUs: [] });
  for (const instance of [1, 2] as const) expect(await changes(pair, instance, sinceUs)).toEqual([]);
});

test('cables that are away for each other second move the role once, and then are waited for', async () => {
  const pair = await started({ standby: 'hot', withCables: true });
  const sinceUs = pair.nowUs;
  const cables = [...pair.peerCables, ...(pair.kernelCable === null ? [] : [pair.kernelCable])];
  for (let times = 0; times < 15; times++) {
    for (const cable of cables) {
      if (times % 2 === 0) cable.cut();
      else cable.pull();
    }
    await sleep(1000);
    for (const cable of cables) cable.plugIn();
    await sleep(1000);
  }
  await until('one to be active and one to stand by', async () => {
    return (await roles(pair)).toSorted().join(' ') === 'active standby';
  });
  const judgement = await judged(pair, sinceUs);
  tell('all cables are away each other second', null, judgement);
  expect(judgement).toMatchObject(FAULTLESS);
  const moves = [await changes(pair, 1, sinceUs), await changes(pair, 2, sinceUs)].flat();
  console.info(moves);
  expect(moves.filter((phase) => phase === 'active').length).toBeLessThanOrEqual(2);
});

test('an uplink that comes and goes each second moves its role once at most', async () => {
  const pair = await started({ standby: 'hot', withCables: true });
  const sinceUs = pair.nowUs;
  for (let second = 0; second < 20; second++) {
    if (second % 2 === 1) pair.kernelCable?.plugIn(LOCAL[1]);
    else pair.kernelCable?.cut(LOCAL[1]);
    await sleep(1000);
  }
  await sleep(3000);
  const judgement = await judged(pair, sinceUs);
  tell('uplink flaps', null, judgement);
  expect(judgement).toMatchObject({ ...FAULTLESS, lostSlots: 0 });
  expect(judgement.firstOfTermUs.length).toBeLessThanOrEqual(1);
});
