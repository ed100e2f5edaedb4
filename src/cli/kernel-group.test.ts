import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GroupStatus, OtherStatus } from '../kernel/group/group-status.ts';
import { NOTHING_REFUSED } from '../kernel/group/refused-blocks.ts';
import type { KernelStatus } from '../kernel/kernel.ts';
import type { AuditEntry } from '../ops/audit.ts';
import { serveControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import type { Listener } from '../world/transport.ts';
import { ExitCode } from './exit-codes.ts';
import { inSyncText, otherText } from './kernel-group.ts';
import { runCommandLine } from './program.ts';
import { realWorld } from './world.ts';

/** As docs/POSTGRESQL.md shows it: the secret is in the environment of the service, not of an operator. */
const KERNEL = {
  listen: '127.0.0.1',
  archive: {
    kind: 'postgres',
    directory: './kernel',
    postgres: {
      hosts: ['/var/run/postgresql'],
      user: 'kom_writer',
      password: { env: 'KOM_PASSWORD_THAT_NO_SHELL_HAS' },
    },
  },
  controlSocket: './kernel.sock',
};

const SOON = { timeout: 10_000 };

const ALONE: KernelStatus = {
  ...{ version: '1', archiveError: null, group: null, sharing: null, alarms: [] },
  ...{ certificate: null, agents: [], processes: [] },
};

const OTHER: OtherStatus = {
  ...{ name: 'KB', isConnected: true, lastError: null, silentMs: 10, offsetMs: 0, behindMs: 65_000 },
  ...{ lacking: 3_000_000, outstandingBytes: 512_000, refused: NOTHING_REFUSED },
  ...{ toGive: 0, toGet: 0, toGetMs: 0, isInOwnSet: true },
  catchUp: { lackedAtMost: 5_000_000, arrivedPerS: 140_000.4, leftMs: 21_500 },
};

const STANDBY: GroupStatus = {
  ...{ name: 'KA', upMs: 60_000, role: 'standby', takesSessions: false, epoch: 7, hot: 'KB' },
  ...{ inSync: ['KB', 'KA'], isInSyncAsked: true, twins: [], ringBytes: 0, ringError: null },
  ...{ overtakenBy: null, overtaken: null, missingAgents: [], kernels: [OTHER] },
};

const AUDITED: AuditEntry = {
  ...{ atUs: 0, way: 'kernel', operator: 'anna', host: 'pc', process: 'KomA', name: 'station' },
  ...{ commandId: 'ab', parameters: {}, outcome: 'done', text: 'P1 is off' },
};

describe("a Kernel's commands from a shell that has none of its secrets", () => {
  let directory = '';
  let listener: Listener;
  let status: KernelStatus = ALONE;
  let switched = Promise.resolve();
  let asked: { readonly method: string; readonly params: unknown }[] = [];
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'kom-kernel-'));
    asked = [];
    switched = Promise.resolve();
    status = ALONE;
    writeFileSync(path('kernel.json'), JSON.stringify(KERNEL));
    const take = (method: string, item: unknown) =>
      async function* (params: unknown) {
        asked.push({ method, params });
        yield item;
      };
    listener = await serveControl({
      ...realWorld({ level: 'silent', name: 'kom' }),
      transport: createTcpTransport(),
      path: path('kernel.sock'),
      handlers: {
        async *status() {
          asked.push({ method: 'status', params: {} });
          yield status;
        },
        async *'kernel-switch'(params: unknown) {
          asked.push({ method: 'kernel-switch', params });
          await switched;
          yield { lacks: [] };
        },
        async *'kernel-switch-cancel'() {
          yield { isCancelled: false };
        },
        command: take('command', { process: 'KomA', outcome: 'done', text: 'as told', items: [] }),
        audit: take('audit', AUDITED),
        'kernel-reload': take('kernel-reload', { kernels: ['KB'] }),
      },
    });
  });
  afterEach(async () => {
    await listener.close();
    rmSync(directory, { recursive: true });
  });

  const path = (name: string): string => join(directory, name);
  let lines: string[] = [];
  const told = (): string => lines.join('\n');
  async function run(...args: string[]) {
    lines = [];
    const output = {
      ...{ line: (text: string) => void lines.push(text), note: (text: string) => void lines.push(text) },
      ...{ isTerminal: false, columns: 100 },
    };
    return { code: await runCommandLine(args, output), text: told() };
  }

  it.each([
    ['status', [], 'the only Kernel'],
    ['kernel-switch', ['--to', 'KB'], 'KB is hot'],
    ['kernel-reload', [], 'the other Kernels: KB'],
  ])('%s goes by the file, or by the socket alone', async (method, more, text) => {
    const name = method.replace('kernel-', '');
    for (const place of [[path('kernel.json')], ['--socket', path('kernel.sock')]]) {
      const { code, text: told } = await run('kernel', name, ...place, ...more);
      expect(told).toContain(text);
      expect(code).toBe(ExitCode.ok);
    }
    expect(asked.map((each) => each.method)).toEqual([method, method]);
  });

  it('a switch that waits says so, and that Ctrl-C came too late', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    switched = promise;
    const before = process.listeners('SIGINT');
    const running = run('kernel', 'switch', path('kernel.json'), '--to', 'KB');
    await vi.waitFor(() => expect(told()).toContain('KB is to have everything first; Ctrl-C cancels'), SOON);
    for (const heard of process.listeners('SIGINT')) if (!before.includes(heard)) heard('SIGINT');
    await vi.waitFor(() => expect(told()).toContain('cannot be cancelled any more'), SOON);
    resolve();
    expect((await running).code).toBe(ExitCode.ok);
    expect(told()).toContain('KB is hot');
  });

  it.each(['kernel.json', 'kernel.sock'])('an operator finds it by %s', async (name) => {
    const kernel = ['--kernel', path(name), '--process', 'KomA'];
    expect((await run('audit', ...kernel)).text).toContain('anna@pc (kernel)  KomA: station {}: done');
    for (const args of [
      ['station', 'P1', 'off'],
      ['buffer', 'replay', '--from', '-1h'],
    ]) {
      expect(await run(...args, ...kernel)).toEqual({ code: ExitCode.ok, text: 'KomA: as told' });
    }
    expect(asked.map(({ method }) => method)).toEqual(['audit', 'command', 'command']);
  });

  it('a standby says where agents send their values, and when it was hot', async () => {
    const overtaken = { by: 'KB', epoch: 7, atUs: 1_767_225_600_000_000 };
    status = { ...ALONE, group: { ...STANDBY, overtaken } };
    expect((await run('kernel', 'status', path('kernel.json'))).text.split('\n')).toEqual([
      'kom 1, agents send their values to KB',
      'KA: standby, epoch 7, hot: KB, in-sync set: KB, KA',
      'it was hot until 2026-01-01T00:00:00.000000Z, when it heard that KB is, in epoch 7',
      'forwarding ring: 0 B',
      '  KB: connected',
      'no alarm',
    ]);
    status = { ...ALONE, group: { ...STANDBY, hot: '' } };
    const { text } = await run('kernel', 'status', path('kernel.json'));
    expect(text).toContain('kom 1, agents wait for a hot Kernel');
  });

  it.each([
    ['gone.json', ExitCode.usage, 'the configuration file cannot be read'],
    ['gone.sock', ExitCode.unavailable, 'no running process answers'],
  ])('%s is not there: exit code %i', async (name, wanted, reason) => {
    const { code, text } = await run('audit', '--kernel', path(name));
    expect(text).toContain(reason);
    expect(code).toBe(wanted);
  });

  it.each([[[]], [['kernel.json', '--socket', 'kernel.sock']]])(
    '%j does not say which Kernel',
    async (place) => {
      const { code, text } = await run('kernel', 'status', ...place);
      expect(text).toContain('either the Kernel file or --socket');
      expect(code).toBe(ExitCode.usage);
    },
  );
});

describe('what is said of another Kernel', () => {
  const other = OTHER;

  it('is an in-sync set as old as its last word', () => {
    const heard = (silentMs: number | null) => inSyncText({ ...STANDBY, kernels: [{ ...OTHER, silentMs }] });
    expect(heard(500)).toBe('in-sync set: KB, KA');
    expect(heard(34_000)).toBe('in-sync set as last known: KB, KA (KB not heard for 34.0 s)');
    expect(heard(null)).toBe('in-sync set as last known: KB, KA (KB not heard since the start)');
    expect(inSyncText({ ...STANDBY, role: 'hot', hot: 'KA', inSync: ['KA'] })).toBe('in-sync set: KA');
  });

  it('is how far it is behind, and for how long still', () => {
    expect(otherText(other, true)).toBe(
      'connected, 1 min 5 s behind, lacks 3000000 of 5000000 values, 512.0 KB on their way, ' +
        '140000 a second come, about 21.5 s left',
    );
  });

  it('leaves out what is not known', () => {
    const catchUp = { lackedAtMost: 3_000_000, arrivedPerS: null, leftMs: null };
    expect(otherText({ ...other, catchUp }, true)).toBe(
      'connected, 1 min 5 s behind, lacks 3000000 values, 512.0 KB on their way',
    );
    expect(otherText({ ...other, behindMs: 0 }, true)).toBe('connected, has everything');
    const following = { ...other, behindMs: 400, lacking: 7, outstandingBytes: 300 };
    expect(
      otherText({ ...following, catchUp: { lackedAtMost: 7, arrivedPerS: 16, leftMs: 42_000 } }, true),
    ).toBe('connected, 400 ms behind, lacks 7 values, 300 B on their way, 16 a second come');
    expect(otherText(other, false)).toBe('connected');
  });

  it('of one that is not connected says why, and what it lacks by what it said last', () => {
    const away = { ...other, isConnected: false, lastError: 'refused', behindMs: null };
    expect(otherText(away, true)).toBe('refused; it lacks 3000000 values, or fewer');
    expect(otherText({ ...away, lacking: 0, lastError: null }, true)).toBe('not connected yet');
    expect(otherText(away, false)).toBe('refused');
  });

  it('tells of values that it refuses', () => {
    const refused = { values: 1200, runs: 3, forMs: 5000, why: 'undecodable' };
    const refusing = { ...other, refused };
    expect(otherText(refusing, true)).toContain(
      'lacks 3000000 of 5000000 values, and 1200 values that it refuses, ',
    );
    expect(otherText({ ...refusing, behindMs: 0 }, true)).toBe(
      'connected, has everything but 1200 values that it refuses',
    );
    expect(otherText(refusing, false)).toBe('connected, lacks 1200 values that it refuses');
  });
});
