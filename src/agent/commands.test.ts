import { expect, it } from 'vitest';
import type { BufferSettings } from '../config/model.ts';
import { UNSAID } from '../config/redundancy.fixture.ts';
import { WIRED } from '../config/uplink.fixture.ts';
import { COMMANDS_ALLOWED_BY_DEFAULT, type CommandName } from '../domain/commands.ts';
import { KomError } from '../domain/errors.ts';
import { ReportByException } from '../domain/report-by-exception.ts';
import { Audit } from '../ops/audit.ts';
import type { Command } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Commands } from './commands.ts';
import { Field } from './field.ts';
import { SendModeNotes } from './send-mode.ts';

const clock = new SimulatedClock();
const random = createSimulatedRandom(3);

function commandsOn(disk: SimulatedDisk, allowed: readonly CommandName[]) {
  let calls = 0;
  const notes = new SideStore(disk, 'notes');
  const field = new Field({
    process: { name: 'KomA', servers: [], lines: [], buffer: BUFFER, uplink: UPLINK, redundancy: UNSAID },
    report: new ReportByException([], null),
    createDriver: () => Promise.reject(new KomError('KOM_USAGE', 'no line')),
    accept: () => {},
    stores: { activate: async () => {}, standBy: async () => {} },
    presentOf: (batch) => batch,
    now: () => ({ wallUs: 0, monotonicMs: 0 }),
    ...{ clock, random, log: silentLog },
  });
  const audit = new Audit(notes);
  const status = (): unknown => ({ calls: ++calls });
  const sendMode = new SendModeNotes(notes, []);
  const alone = { membership: null, exercise: async () => [] };
  const options = { process: 'KomA', allowed, stores: () => [], field, status, audit, sendMode, ...alone };
  return { commands: new Commands({ ...options, clock, log: silentLog }), audit };
}

const command = (number: number, name: string, parameters: Command['parameters'] = {}): Command => ({
  ...{ commandId: String(number).padStart(32, '0'), name, parameters },
  ...{ operator: 'anna', host: 'kernel-1', givenAtUs: 1, timeoutMs: 1000 },
});

it('a command that comes again is not carried out again, also by the next run', async () => {
  const disk = new SimulatedDisk(clock, random);
  const first = commandsOn(disk, COMMANDS_ALLOWED_BY_DEFAULT);
  const [one, two] = [command(1, 'status'), command(2, 'status')];
  const answers = [first.commands.carryOut(one, 'kernel'), first.commands.carryOut(one, 'kernel')];
  expect(await Promise.all(answers)).toMatchObject([{ items: [{ calls: 1 }] }, { items: [{ calls: 1 }] }]);
  expect(await first.commands.carryOut(two, 'agent')).toMatchObject({ items: [{ calls: 2 }] });
  const second = commandsOn(disk, COMMANDS_ALLOWED_BY_DEFAULT);
  expect(await second.commands.carryOut(one, 'kernel')).toMatchObject({
    outcome: 'done',
    text: 'answered before: the status',
    items: [],
  });
  expect(await second.audit.read(9)).toMatchObject([
    { way: 'kernel', process: 'KomA', operator: 'anna', outcome: 'done' },
    { way: 'agent' },
  ]);
});

it.each([
  ['what the site file does not allow', 'drop-backlog', {}, /does not allow drop-backlog/],
  [
    'a repair where only a replay is allowed',
    'replay',
    { repair: true, stream: 'a' },
    /does not allow repair/,
  ],
  ['what is no command', 'reboot', {}, /no command reboot/],
  ['a replay of everything', 'replay', {}, /names a stream, or a time/],
  ['a replay of a time that is none', 'replay', { fromUs: 'now' }, /fromUs is a number/],
])('%s is refused, and written down', async (_, name, parameters, why) => {
  const { commands, audit } = commandsOn(new SimulatedDisk(clock, random), COMMANDS_ALLOWED_BY_DEFAULT);
  const result = await commands.carryOut(command(1, name, parameters), 'kernel');
  expect(result).toMatchObject({ outcome: 'refused', text: expect.stringMatching(why) });
  expect(await audit.read(9)).toMatchObject([{ name, outcome: 'refused' }]);
});

it('a command that fails says so, and the next one is carried out', async () => {
  const disk = new SimulatedDisk(clock, random);
  const { commands } = commandsOn(disk, ['station', 'send-mode', 'status']);
  const answer = (number: number, name: string, parameters: Command['parameters']) =>
    commands.carryOut(command(number, name, parameters), 'agent');
  expect(await answer(1, 'station', { station: 'P1', mode: 'off' })).toMatchObject({ outcome: 'refused' });
  expect(await answer(2, 'station', { station: 'P1', mode: 'simulate' })).toMatchObject({
    outcome: 'refused',
  });
  expect(await answer(3, 'send-mode', { mode: 'never' })).toMatchObject({ outcome: 'refused' });
  expect(await answer(4, 'send-mode', { mode: 'auto' })).toMatchObject({ outcome: 'done' });
  expect(await answer(5, 'status', {})).toMatchObject({ outcome: 'done' });
});

const BUFFER: BufferSettings = {
  ...{ store: 'always', capacityBytes: 1e6, freeDiskFloorBytes: 0, alarmShare: 0, whenFull: 'drop-oldest' },
  ...{ powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500, aliveMarkMs: 5000, windowBytes: 1e6 },
};

const UPLINK = {
  ...WIRED,
  ...{ heartbeatMs: 250, silenceMaxMs: 1500, connectTimeoutMs: 2000, liveIntervalMs: 500 },
  ...{ reconnectDelayMaxMs: 2000, holdMaxMs: 2000 },
};
