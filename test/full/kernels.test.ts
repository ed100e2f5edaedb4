import { isDeepStrictEqual } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { GREEN } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { toldOfPast } from '../kernels/past.ts';
import { RealKernels, type RealOptions } from '../kernels/real-kernels.ts';

/** Real Kernels that fail and are switched under load; both archives are proved, each by itself. */

const running: RealKernels[] = [];

afterEach(async () => {
  for (const kernels of running.splice(0)) await kernels[Symbol.asyncDispose]();
});

async function started(options: RealOptions = {}): Promise<RealKernels> {
  const kernels = await RealKernels.start(options);
  running.push(kernels);
  await sleep(2000);
  return kernels;
}

async function expectBothGreen(kernels: RealKernels): Promise<void> {
  const proofs = await kernels.prove();
  expect(proofs.get('KernelA')).toMatchObject(GREEN);
  // The same run of the same plant is in both.
  expect(proofs.get('KernelB')).toMatchObject({ ...GREEN, archived: proofs.get('KernelA')?.archived });
}

test('kill -9 of the hot one under load, the other one forced, and the first back as standby', async () => {
  const kernels = await started();
  await kernels.kill('KernelA');
  const refused = await kernels.switch('KernelB', 'KernelB');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('--force');
  const forced = await kernels.switch('KernelB', 'KernelB', '--force');
  expect(forced.code).toBe(0);
  expect(forced.stdout).toContain('was in the last in-sync set');
  expect(await kernels.untilAt('KernelB')).toBeLessThan(2000);
  await sleep(3000);
  await kernels.startKernel('KernelA');
  await kernels.untilInSync('KernelB');
  expect((await kernels.kernelStatus('KernelA')).group).toMatchObject({ role: 'standby', hot: 'KernelB' });
  await expectBothGreen(kernels);
}, 120_000);

test('switch and switch back under load: agents follow within 2 s', async () => {
  const kernels = await started();
  for (const [from, to] of [
    ['KernelA', 'KernelB'],
    ['KernelB', 'KernelA'],
  ] as const) {
    const { code, stderr } = await kernels.switch(from, to);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await kernels.untilAt(to)).toBeLessThan(2000);
    await sleep(2000);
    expect((await kernels.kernelStatus(from)).group).toMatchObject({ role: 'standby', overtakenBy: null });
  }
  await expectBothGreen(kernels);
}, 120_000);

test('Ctrl-C cancels a switch that waits for the other one', async () => {
  const kernels = await started();
  const { command, socket } = await kernels.switching('KernelA', 'KernelB');
  await using held = socket;
  await using switching = command;
  // Before the Kernel notices who is away, however long a process takes to start.
  await held.reached;
  kernels.signal('KernelB', 'SIGSTOP');
  // It lacks something by then.
  await sleep(1500);
  held.letThrough();
  await switching.untilTold('Ctrl-C cancels the switch');
  const { code, stderr } = await switching.kill('SIGINT');
  kernels.signal('KernelB', 'SIGCONT');
  expect(stderr).toContain('the operator cancelled it');
  expect(code).toBe(1);
  await sleep(3000);
  expect((await kernels.kernelStatus('KernelA')).group).toMatchObject({ hot: 'KernelA', epoch: 1 });
}, 60_000);

test('a standby is killed, away for a while, and catches up by itself', async () => {
  const kernels = await started();
  await kernels.kill('KernelB');
  await sleep(12_000);
  const alone = await kernels.kernelStatus('KernelA');
  expect(alone.group?.inSync).toEqual(['KernelA']);
  expect(alone.alarms.map(({ code }) => code)).toEqual(['kernel-behind']);
  await kernels.startKernel('KernelB');
  await kernels.untilInSync('KernelA');
  await expectBothGreen(kernels);
  expect((await kernels.kernelStatus('KernelA')).alarms).toEqual([]);
}, 120_000);

test('a standby is replaced by a machine with an empty disk, then becomes hot', async () => {
  const kernels = await started();
  await kernels.kill('KernelB');
  kernels.emptyDisk('KernelB');
  await sleep(3000);
  await kernels.startKernel('KernelB');
  await kernels.untilInSync('KernelB');
  await sleep(1000);
  expect((await kernels.switch('KernelA', 'KernelB')).code).toBe(0);
  await kernels.untilAt('KernelB');
  await sleep(2000);
  await expectBothGreen(kernels);
}, 120_000);

test('a standby is replaced by an empty machine, and gets what no ring holds any more', async () => {
  const past = 60_000;
  const kernels = await started({ ringCapacity: '10MB', past });
  await kernels.kill('KernelB');
  kernels.emptyDisk('KernelB');
  await kernels.kill('KernelA');
  kernels.outgrowRing('KernelA');
  await kernels.startKernel('KernelA');
  await kernels.startKernel('KernelB');
  const isHalfWay = async () => (await kernels.samplesAt('KernelB')) > past / 10;
  await until('some of the past', isHalfWay, 30_000);
  for (const name of ['KernelB', 'KernelA'] as const) {
    await kernels.kill(name);
    await kernels.startKernel(name);
  }
  expect((await kernels.kernelStatus('KernelA')).group?.inSync).toEqual(['KernelA']);
  await kernels.untilInSync('KernelA');
  await expectBothGreen(kernels);
  const told = [];
  for (const name of ['KernelA', 'KernelB'] as const) {
    await kernels.kill(name, 'SIGTERM');
    told.push(await kernels.withArchive(name, toldOfPast));
  }
  expect(isDeepStrictEqual(told[0], told[1])).toBe(true);
  expect(told[1]?.ofTags.map(({ samples }) => samples.length > past / 5)).toEqual([true, true, true]);
}, 120_000);

test('the hot one is replaced by a machine with an empty disk: it comes back as standby', async () => {
  const kernels = await started();
  await kernels.kill('KernelA');
  kernels.emptyDisk('KernelA');
  expect((await kernels.switch('KernelB', 'KernelB', '--force')).code).toBe(0);
  await kernels.untilAt('KernelB');
  await kernels.startKernel('KernelA');
  await kernels.untilInSync('KernelB');
  expect((await kernels.kernelStatus('KernelA')).group).toMatchObject({ role: 'standby', epoch: 2 });
  await expectBothGreen(kernels);
}, 120_000);

test('an empty machine in place of the hot one is not hot, and its alarm names who can be', async () => {
  const past = 60_000;
  const kernels = await started({ past });
  await kernels.kill('KernelA');
  kernels.emptyDisk('KernelA');
  await kernels.startKernel('KernelA');
  await sleep(12_000);
  for (const name of ['KernelA', 'KernelB'] as const) {
    const { group, alarms } = await kernels.kernelStatus(name);
    expect(group).toMatchObject({ role: 'standby', epoch: 2, hot: '' });
    const told = alarms.find(({ code }) => code === 'kernel-nobody-hot')?.text;
    expect(told).toContain('kom kernel switch kernel.json --to KernelB --force');
  }
  const forced = await kernels.switch('KernelB', 'KernelB', '--force');
  expect(forced.stdout).toContain('was in the last in-sync set');
  await kernels.untilAt('KernelB');
  await kernels.untilInSync('KernelB');
  await expectBothGreen(kernels);
  await kernels.kill('KernelB', 'SIGTERM');
  await kernels.kill('KernelA', 'SIGTERM');
  const told = [];
  for (const name of ['KernelA', 'KernelB'] as const) told.push(await kernels.withArchive(name, toldOfPast));
  expect(isDeepStrictEqual(told[0], told[1])).toBe(true);
  expect(told[0]?.ofTags.map(({ samples }) => samples.length > past / 5)).toEqual([true, true, true]);
}, 120_000);

test('over TLS with certificates by name: a switch, a reload, and a clean stop', async () => {
  const kernels = await started({ withTls: true });
  expect((await kernels.switch('KernelA', 'KernelB')).code).toBe(0);
  expect(await kernels.untilAt('KernelB')).toBeLessThan(2000);
  // A third one that nobody runs joins the file, and is not waited for.
  const others = (await kernels.kernelStatus('KernelB')).group?.kernels.map(({ name }) => name);
  expect(others).toEqual(['KernelA']);
  kernels.writeKernelFile('KernelB', [
    { name: 'KernelA', addresses: [kernels.address('KernelA')] },
    { name: 'KernelC', addresses: ['127.0.0.1:1'] },
  ]);
  const reloaded = await kernels.reload('KernelB');
  expect(reloaded).toMatchObject({ code: 0, stdout: 'the other Kernels: KernelA, KernelC\n' });
  // Who is hot cannot be left out.
  kernels.writeKernelFile('KernelA', [{ name: 'KernelC', addresses: ['127.0.0.1:1'] }]);
  expect((await kernels.reload('KernelA')).stderr).toContain('KernelB is hot');
  kernels.writeKernelFile('KernelB');
  expect((await kernels.reload('KernelB')).code).toBe(0);
  await sleep(2000);
  await expectBothGreen(kernels);
  expect((await kernels.kill('KernelA', 'SIGTERM'))?.code).toBe(0);
  expect((await kernels.kill('KernelB', 'SIGTERM'))?.code).toBe(0);
}, 120_000);

test('a Kernel with the certificate of another name is not dealt with', async () => {
  const kernels = await started({ withTls: true });
  await kernels.kill('KernelB');
  kernels.certifyAs('KernelB', 'ServerKom1');
  await kernels.startKernel('KernelB');
  await sleep(9000);
  const { group } = await kernels.kernelStatus('KernelA');
  expect(group?.inSync).toEqual(['KernelA']);
  expect(group?.kernels[0]?.lastError).toContain('urn:kom:SITE:kernel:KernelB');
}, 120_000);
