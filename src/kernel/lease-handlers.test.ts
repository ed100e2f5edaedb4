import { expect, it } from 'vitest';
import type { LeaseClaim } from '../domain/lease.ts';
import { Audit } from '../ops/audit.ts';
import type { Message } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { CommandDesk } from './commands.ts';
import { LeaseDesk } from './lease-desk.ts';
import { leaseHandlers } from './lease-handlers.ts';

const CLAIM: LeaseClaim = {
  ...{ role: 'standby', ownTerm: 0, highestTerm: 0, unfit: null, isLeaving: false, releasedTerm: 0 },
  ...{ preferred: { instance: 0, setAtUs: 0 }, peerGone: false, preferHoldOffMs: 0, leaseMs: 1200 },
  wish: null,
};

function makeDesk() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(1);
  const archive = new SimulatedArchive();
  const audit = new Audit(new SideStore(new SimulatedDisk(clock, random), 'notes'));
  const common = { clock, random, log: silentLog };
  const leases = new LeaseDesk({ ...common, archive, granted: () => {} });
  const commands = new CommandDesk({ ...common, audit });
  const handlers = leaseHandlers({ ...common, leases, commands, audit });
  const call = async (method: string, params: Readonly<Record<string, unknown>>): Promise<unknown[]> => {
    const items: unknown[] = [];
    for await (const item of handlers[method]?.(params) ?? []) items.push(item);
    return items;
  };
  const join = (site: string, instance: number, claim: LeaseClaim) => {
    const line = { site, process: 'KomA', instance };
    const sent: Message[] = [];
    const seat = leases.attach({ ...line, send: async (message) => void sent.push(message) });
    commands.attach({
      ...line,
      send: async (message) => {
        if (message.type !== 'command') return;
        const { commandId, name } = message.command;
        commands.answered({ commandId, outcome: 'done', text: name, items: [] }, line);
      },
    });
    const renew = (): void => seat.claimed(1, claim);
    clock.repeat('renew', 300, renew);
    renew();
    return { seat, sent };
  };
  return { clock, archive, audit, leases, call, join };
}

it('switches, and writes into the audit what was done and what was refused', async () => {
  const { clock, audit, call, join } = makeDesk();
  join('S', 1, CLAIM);
  join('S', 2, { ...CLAIM, unfit: 'no line answers' });
  await clock.advance(3000);
  const refused = call('switch', { process: 'KomA', to: 2, operator: 'anna', host: 'h' });
  await expect(clock.runUntil(refused)).rejects.toThrow(/unfit: no line answers/);
  const forced = { process: 'KomA', site: 'S', to: 2, operator: 'anna', host: 'h', force: true };
  expect(await clock.runUntil(call('switch', forced))).toMatchObject([
    { site: 'S', process: 'KomA', chosen: 2, instances: [{ instance: 1 }, { instance: 2 }] },
  ]);
  const entries = await clock.runUntil(audit.read(10));
  expect(entries.map(({ name, outcome, operator }) => [name, outcome, operator]).sort()).toEqual([
    ['switch', 'done', 'anna'],
    ['switch', 'refused', 'anna'],
  ]);
});

it('has every instance write down what is preferred', async () => {
  const { clock, call, join } = makeDesk();
  join('S', 1, CLAIM);
  join('S', 2, CLAIM);
  await clock.advance(1000);
  const answers = await clock.runUntil(call('prefer', { process: 'KomA', instance: 2, operator: 'anna' }));
  expect(answers).toMatchObject([
    { instance: 1, outcome: 'done', text: 'prefer' },
    { instance: 2, outcome: 'done', text: 'prefer' },
  ]);
});

it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
  ['switch', { process: 'KomA' }, /names the instance/],
  ['switch', { process: 'KomA', to: 16 }, /names the instance/],
  ['switch', { to: 1 }, /names a process/],
  ['switch', { process: 'KomX', to: 1 }, /no instance of KomX/],
  ['switch', { process: 'KomA', to: 1 }, /several sites/],
  ['prefer', { process: 'KomA' }, /names an instance/],
  ['prefer', { process: 'KomA', instance: 1, site: 'X' }, /no instance of KomA is connected/],
])('%s of %j is refused', async (method, params, text) => {
  const { clock, call, join } = makeDesk();
  join('S', 1, CLAIM);
  join('T', 1, CLAIM);
  await clock.advance(500);
  await expect(call(method, params)).rejects.toThrow(text);
});

it('answers at once that it decides nothing while the archive does not tell its terms', async () => {
  const { clock, archive, leases, join } = makeDesk();
  const terms = archive.terms.bind(archive);
  archive.terms = () => Promise.reject(new Error('the disk is gone'));
  const { sent } = join('S', 1, CLAIM);
  await clock.advance(2000);
  expect(sent.length).toBeGreaterThanOrEqual(6);
  expect(sent.every((message) => message.type === 'lease' && message.answer.kind === 'unable')).toBe(true);
  archive.terms = terms;
  await clock.advance(5000);
  expect(leases.status({ site: 'S', process: 'KomA' })?.holder).toBe(1);
});
