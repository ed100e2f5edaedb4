import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { RingDepth } from '../../src/agent/depth.ts';
import type { CommandAnswer } from '../../src/cli/operator.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import type { AuditEntry } from '../../src/ops/audit.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep, until } from './support/until.ts';
import { forbiddenServices, MODBUS_READING, WriteWatch } from './support/write-watch.ts';

interface SiteFile {
  commands?: { allow: string[] };
  processes: { KomA: { lines: { pumps: { address: string }; reactors: { endpoint: string } } } };
}

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

/** The site file through something that watches the wire, with these commands allowed. */
async function watched(setup: Setup, allow: string[]) {
  const file = setup.file('site.json');
  const site = JSON.parse(readFileSync(file, 'utf8')) as SiteFile;
  const { pumps, reactors } = site.processes.KomA.lines;
  const modbus = await WriteWatch.before(Number(pumps.address.split(':').at(-1)), 'modbus');
  const opcua = await WriteWatch.before(Number(new URL(reactors.endpoint).port), 'opcua');
  pumps.address = `127.0.0.1:${modbus.port}`;
  reactors.endpoint = `opc.tcp://127.0.0.1:${opcua.port}/kom`;
  site.commands = { allow };
  writeFileSync(file, JSON.stringify(site));
  return { modbus, opcua };
}

test('operators command an agent, here and through the Kernel, and nothing writes to a device', async () => {
  await using setup = await Setup.make({ store: 'always', opcua: true });
  const allow = ['status', 'depth', 'replay', 'repair', 'send-mode', 'release', 'station'];
  const { modbus, opcua } = await watched(setup, allow);
  await using _modbus = modbus;
  await using _opcua = opcua;
  await setup.startPlant();
  await setup.spawnKernel();
  await setup.spawnAgent();
  await setup.untilOnline();
  await sleep(1500);
  const here = ['--socket', setup.file('agent.sock'), '--json'];
  const remote = ['--kernel', setup.file('kernel.sock'), '--process', 'KomA', '--json'];
  const answerOf = (out: string): CommandAnswer => JSON.parse(out) as CommandAnswer;
  const latest = async (tag: string): Promise<number> => (await setup.live()).get(tag)?.sourceTimeUs ?? 0;

  // A station off and on, through the Kernel.
  const offAtUs = setup.world.clock.wallUs();
  const off = await kom('station', 'P1', 'off', ...remote);
  expect(off, off.notes).toMatchObject({ code: 0 });
  expect(answerOf(off.out)).toMatchObject({ outcome: 'done', text: 'station P1 is off' });
  expect(answerOf((await kom('station', 'P1', 'off', ...here)).out).text).toBe('station P1 is already off');
  await until('P2 to go on', async () => (await latest('P2.flow')) > offAtUs + 1_000_000);
  expect(await kom('station', 'P1', 'on', ...here)).toMatchObject({ code: 0 });
  await until('P1 to come back', async () => (await latest('P1.flow')) > offAtUs + 1_000_000);
  await until('the gap of P1', async () =>
    JSON.stringify(await setup.history('P1.flow', offAtUs - 1_000_000)).includes('station-off'),
  );

  // How deep the ring reaches, and a repair of all of it.
  const depth = answerOf((await kom('buffer', 'depth', ...remote)).out).items as RingDepth[];
  expect(depth[0]).toMatchObject({ part: 'main', streams: [{ held: [{ first: 1 }] }] });
  const before = await setup.queries.stat();
  const repair = await kom('buffer', 'replay', '--repair', '--from', '-10min', ...remote);
  expect(repair, repair.out + repair.notes).toMatchObject({ code: 0 });
  await setup.untilStatus('the repair', ({ backlog }) => backlog.replays.length === 0);
  await sleep(500);
  expect((await setup.queries.stat()).samples).toBeGreaterThanOrEqual(before.samples);

  // On request: the archive lane waits, live values go on.
  expect(await kom('buffer', 'send-mode', 'on-request', ...here)).toMatchObject({ code: 0 });
  await setup.untilStatus('the backlog to wait', ({ backlog }) => backlog.samples > 10);
  const waitingAtUs = setup.world.clock.wallUs();
  await until('live values', async () => (await latest('P2.flow')) > waitingAtUs);
  expect((await setup.status()).backlog.state).toBe('outage');
  expect(await kom('buffer', 'release', ...remote)).toMatchObject({ code: 0 });
  expect(await kom('buffer', 'send-mode', 'auto', ...remote)).toMatchObject({ code: 0 });
  await setup.untilOnline();

  // What the site file does not allow, and what makes no sense.
  const drop = await kom('buffer', 'drop', '--yes', ...remote);
  expect(drop.code).toBe(1);
  expect(answerOf(drop.out)).toMatchObject({
    outcome: 'refused',
    text: expect.stringMatching(/does not allow/),
  });
  expect(await kom('buffer', 'drop', ...here)).toMatchObject({
    code: 2,
    notes: expect.stringContaining('--yes'),
  });
  expect(answerOf((await kom('station', 'P9', 'off', ...remote)).out)).toMatchObject({ outcome: 'refused' });
  expect(await kom('buffer', 'release', ...here)).toMatchObject({ code: 1 });
  const nobody = ['--kernel', setup.file('kernel.sock'), '--process', 'KomB', '--json'];
  expect(await kom('buffer', 'poison', 'list', ...here)).toMatchObject({ code: 0, out: '' });
  expect(await kom('buffer', 'poison', 'list', ...nobody)).toMatchObject({ code: 2 });

  // Both sides wrote it down.
  const read = async (...args: string[]): Promise<AuditEntry[]> =>
    (await kom('audit', ...args)).out.split('\n').map((line) => JSON.parse(line) as AuditEntry);
  const [atAgent, atKernel] = [await read(...here), await read(...remote)];
  expect(atAgent.map(({ name, way, outcome }) => `${way} ${name} ${outcome}`)).toEqual([
    ...['kernel station done', 'agent station done', 'agent station done', 'kernel depth done'],
    ...['kernel replay done', 'agent send-mode done', 'kernel release done', 'kernel send-mode done'],
    ...['kernel drop-backlog refused', 'kernel station refused', 'agent release refused'],
  ]);
  expect(atKernel.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
    ...['station done', 'depth done', 'replay done', 'release done', 'send-mode done'],
    ...['drop-backlog refused', 'station refused'],
  ]);
  expect(atAgent[0]?.commandId).toBe(atKernel[0]?.commandId);
  expect(atAgent[0]).toMatchObject({
    operator: expect.stringMatching(/./),
    host: expect.stringMatching(/./),
  });

  expect(await setup.prove()).toMatchObject(GREEN);
  expect([...modbus.seen.keys()].sort().every((code) => MODBUS_READING.includes(code))).toBe(true);
  expect(modbus.seen.size).toBeGreaterThan(0);
  expect(opcua.seen.size).toBeGreaterThan(3);
  expect(forbiddenServices(opcua.seen)).toEqual([]);
});
