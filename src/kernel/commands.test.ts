import { expect, it } from 'vitest';
import { Audit } from '../ops/audit.ts';
import type { Command, CommandResult, Message } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { CommandDesk } from './commands.ts';

function setUp() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(3);
  const audit = new Audit(new SideStore(new SimulatedDisk(clock, random), 'notes'));
  const desk = new CommandDesk({ clock, random, log: silentLog, audit });
  const got: Command[] = [];
  const line = (process: string, instance = 1) => ({
    ...{ site: 'S', process, instance },
    send: async (message: Message) => {
      if (message.type === 'command') got.push(message.command);
    },
  });
  const give = (process: string, instance?: number) =>
    desk.give({
      target: { process, ...(instance === undefined ? {} : { instance }) },
      ...{ name: 'depth', parameters: {}, operator: 'anna', host: 'kernel-1', timeoutMs: 10_000 },
    });
  return { clock, audit, desk, got, line, give };
}

const done = (commandId: string): CommandResult => ({ commandId, outcome: 'done', text: 'well', items: [1] });

it('a command without an answer is given again, under its id, in the next session', async () => {
  const { clock, audit, desk, got, line, give } = setUp();
  const [agent, stranger] = [line('KomA'), line('KomB')];
  const leave = desk.attach(agent);
  desk.attach(stranger);
  const answer = give('KomA');
  await clock.advance(1000);
  leave();
  desk.attach(line('KomA', 2));
  desk.attach(agent);
  expect(got.map(({ commandId }) => commandId)).toEqual([got[0]?.commandId, got[0]?.commandId]);
  const id = got[0]?.commandId ?? '';
  desk.answered(done(id), stranger);
  desk.answered(done(id), agent);
  desk.answered(done(id), agent);
  expect(await clock.runUntil(answer)).toEqual(done(id));
  expect(await audit.read(9)).toMatchObject([
    { commandId: id, operator: 'anna', outcome: 'done', way: 'kernel' },
  ]);
});

it('a command waits for its agent until its time is over, and that is in the audit', async () => {
  const { clock, audit, desk, got, line, give } = setUp();
  const late = give('KomA');
  await clock.advance(5000);
  expect(got).toEqual([]);
  desk.attach(line('KomA'));
  expect(got).toHaveLength(1);
  expect(await clock.runUntil(late)).toMatchObject({
    outcome: 'failed',
    text: expect.stringMatching(/in time/),
  });
  expect(await clock.runUntil(give('KomC'))).toMatchObject({ text: 'no such agent is connected' });
  expect((await audit.read(9)).map(({ outcome }) => outcome)).toEqual(['failed', 'failed']);
});

it('asks which of several instances is meant', async () => {
  const { clock, desk, got, line, give } = setUp();
  desk.attach(line('KomA', 1));
  desk.attach(line('KomA', 2));
  await expect(give('KomA')).rejects.toThrow(/several instances/);
  const answer = give('KomA', 2);
  desk.answered(done(got[0]?.commandId ?? ''), line('KomA', 2));
  expect((await clock.runUntil(answer)).outcome).toBe('done');
});
