import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Kom, kom } from '../integration/support/kom.ts';
import { sleep, until } from '../integration/support/until.ts';

const directory = mkdtempSync(join(tmpdir(), 'kom-demo-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('kom demo without a terminal: plain lines, a report and a chart', async () => {
  const chart = join(directory, 'demo.svg');
  const { code, stdout, stderr } = await kom(['demo', '--chart', chart, '--keep']);
  expect(code).toBe(0);
  expect(stdout, 'no colours, no cursor').not.toContain('\x1b');
  for (const scene of ['1  Online', '2  The uplink is cut', '3  The link is back', '4  Online again']) {
    expect(stdout).toContain(`== ${scene}`);
  }
  expect(stdout).toMatch(/ s {2}outage +backlog +\d+ samples +ring/);
  expect(stdout).toMatch(/lost +0\n/);
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('Every sample once and in order, every gap declared.');
  expect(readFileSync(chart, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\s*$/);
  const kept = /files are in (\S+)/.exec(stderr)?.[1] ?? '';
  for (const file of ['site.json', 'agent.log', 'kernel.log', 'served.jsonl']) {
    expect(existsSync(join(kept, file)), file).toBe(true);
  }
  for (const name of ['agent.log', 'kernel.log']) {
    // OPC UA is loaded here: its library must not write between the lines.
    for (const line of readFileSync(join(kept, name), 'utf8').trimEnd().split('\n')) JSON.parse(line);
  }
  rmSync(kept, { recursive: true, force: true });
});

test('kom demo --interactive takes keys from a pipe, and proves at the end', async () => {
  await using demo = new Kom(['demo', '--interactive']);
  const seen = (pattern: RegExp) => until(String(pattern), () => pattern.test(demo.stdout), 40_000);
  await seen(/== Running\n/);
  await sleep(2000);
  demo.type('c');
  await seen(/outage/);
  await sleep(2000);
  demo.type('c');
  await seen(/outage[\s\S]*online/);
  demo.type('u');
  await seen(/== Running, \S+ unplugged/);
  await sleep(4000);
  demo.type('u');
  await sleep(3000);
  demo.type('k');
  await seen(/unplugged[\s\S]*outage/);
  await sleep(1000);
  demo.type('k');
  await sleep(3000);
  demo.type('q');
  const { code, stdout, stderr } = await demo.finished;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('[c] cut or restore the uplink');
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('Every sample once and in order, every gap declared.');
});

test('kom demo interrupted: nothing stays behind', async () => {
  await using demo = new Kom(['demo'], { env: { TMPDIR: directory } });
  await until('the first scene', () => demo.stdout.includes('== 1  Online'), 40_000);
  const [stage] = readdirSync(directory).filter((name) => name.startsWith('kom-demo-'));
  expect(stage).toBeDefined();
  const { code } = await demo.kill('SIGINT');
  expect(code).toBe(130);
  expect(existsSync(join(directory, stage ?? ''))).toBe(false);
});
