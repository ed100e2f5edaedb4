import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';
import type { AuditEntry } from '../../src/ops/audit.ts';
import { formatAddress } from '../../src/world/transport.ts';
import { Setup } from './support/setup.ts';
import { until } from './support/until.ts';

async function kom(...args: string[]): Promise<{ code: number; out: string; notes: string }> {
  const out: string[] = [];
  const notes: string[] = [];
  const code = await runCommandLine(args, {
    line: (text) => void out.push(text),
    note: (text) => void notes.push(text),
    isTerminal: false,
    columns: 100,
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

test('an agent follows its Kernel to another address, by command and by SIGHUP', async () => {
  await using setup = await Setup.make({ store: 'always' });
  await setup.startKernel();
  const agent = await setup.spawnAgent();
  await setup.untilOnline();
  const file = setup.file('site.json');
  const raw = JSON.parse(readFileSync(file, 'utf8'));
  const write = (change: object): void => writeFileSync(file, JSON.stringify({ ...raw, ...change }));
  const [former, latter] = [formatAddress(setup.cable.address), formatAddress(setup.kernelAddress)];
  const { sinceUs } = (await setup.status()).uplink;

  // A file with mistakes: the words are those of kom check.
  write({ kernels: [{ address: latter, insecur: true }] });
  const mistaken = await kom('reload', file);
  expect(mistaken).toMatchObject({ code: 2, notes: expect.stringContaining('$.kernels[0].insecur') });
  expect(mistaken.notes).toContain((await kom('check', file)).notes);

  // Something that needs a restart, beside what would be taken.
  write({ kernels: [{ address: latter }], clock: 'kernel' });
  const refused = await kom('reload', file);
  expect(refused).toMatchObject({ code: 2, notes: expect.stringContaining('$.clock: changed') });
  expect(refused.notes).toContain('restart');
  expect((await setup.status()).uplink).toMatchObject({ kernel: former, sinceUs });

  write({ kernels: [{ address: latter }] });
  expect(await kom('reload', file)).toMatchObject({ code: 0, out: `the Kernels: ${latter}` });
  await setup.untilStatus('a session there', ({ uplink }) => uplink.kernel === latter);

  write({ kernels: [{ address: former }] });
  process.kill(agent.pid, 'SIGHUP');
  await setup.untilStatus('a session where it was', ({ uplink }) => uplink.kernel === former);
  await setup.untilOnline();

  const audit = async (): Promise<AuditEntry[]> =>
    (await kom('audit', '--config', file, '--json')).out.split('\n').map((line) => JSON.parse(line));
  await until('the audit', async () => (await audit()).length >= 3);
  const told = (await audit()).map(({ name, operator, outcome }) => `${name} ${operator} ${outcome}`);
  const user = (await audit())[0]?.operator;
  expect(told).toEqual([...[`reload ${user} refused`, `reload ${user} done`, 'reload SIGHUP done']]);
});
