import { describe, expect, it } from 'vitest';
import { groupAlarms } from './alarms.ts';
import type { GroupStatus, OtherStatus } from './group/group-status.ts';
import { NOTHING_REFUSED } from './group/refused-blocks.ts';

const other = (name: string, more: Partial<OtherStatus> = {}): OtherStatus => ({
  ...{ name, isConnected: true, lastError: null, silentMs: 100, offsetMs: 0, behindMs: 0, lacking: 0 },
  ...{ toGive: 0, toGet: 0, toGetMs: 0, isInOwnSet: true, refused: NOTHING_REFUSED, outstandingBytes: 0 },
  catchUp: { lackedAtMost: 0, arrivedPerS: null, leftMs: null },
  ...more,
});
const away = { isConnected: false, lastError: 'refused', silentMs: 60_000, behindMs: null };

const STANDBY: GroupStatus = {
  ...{ name: 'C', upMs: 60_000, role: 'standby', takesSessions: false, epoch: 7, hot: 'A' },
  ...{ inSync: ['A', 'B'], isInSyncAsked: true, twins: [], ringBytes: 0, ringError: null },
  ...{ overtakenBy: null, overtaken: null, missingAgents: [], kernels: [] },
};

const told = (code: string, status: Partial<GroupStatus>): string | undefined =>
  groupAlarms({ ...STANDBY, ...status }).find((each) => each.code === code)?.text;

const at = (name: string, where: string): string =>
  `kom kernel switch kernel.json --to ${name} --force, given ${where}`;

describe('who is to be hot in place of one that is gone', () => {
  const nobody = { hot: '', former: { hot: 'A', epoch: 6 } };

  it('is this Kernel where it was in the last set', () => {
    for (const status of [{}, nobody]) {
      const kernels = [other('A', away), other('B')];
      const text = told(status === nobody ? 'kernel-nobody-hot' : 'kernel-silent', {
        ...{ ...status, kernels, inSync: ['A', 'B', 'C'] },
      });
      expect(text).toContain(at('C', 'here, makes this one hot'));
      expect(text).not.toContain('in-sync set');
    }
  });

  it('is one that was in it, and is there', () => {
    const kernels = [other('A', away), other('B')];
    expect(told('kernel-silent', { kernels })).toContain(
      `B was in the last in-sync set; ${at('B', 'at B, makes that one hot')}`,
    );
    expect(told('kernel-nobody-hot', { ...nobody, kernels })).toContain(at('B', 'at B, makes that one hot'));
  });

  it('is one that was in it and has to be had back; this one lacks values', () => {
    const kernels = [other('A', away), other('B', away)];
    const first = 'C is not in the last in-sync set, and lacks values: have';
    expect(told('kernel-silent', { kernels })).toContain(
      `${first} B back first, if that can be; else ${at('C', 'here')}`,
    );
    expect(told('kernel-silent', { kernels, inSync: ['A'] })).toContain(`${first} A back first`);
    expect(told('kernel-nobody-hot', { ...nobody, kernels })).toContain(`${first} A or B back first`);
    // Its own disk is new, and one that was in no set is there.
    const isNew = { hot: '', inSync: ['B'], kernels: [other('B', away), other('D')] };
    expect(told('kernel-nobody-hot', isNew)).toContain(`${first} B back first`);
  });

  it('is whoever the operator wants where nobody waits for a set', () => {
    const kernels = [other('A', away), other('B')];
    const status = { isInSyncAsked: false, inSync: ['A'], kernels };
    expect(told('kernel-silent', status)).toContain(at('C', 'here'));
  });
});

it('what a hot one lacks is said to come only while who has it is there', () => {
  const hot = { role: 'hot' as const, hot: 'C', takesSessions: true };
  const lacking = { toGet: 9, toGetMs: 6000 };
  expect(told('kernel-lacks', { ...hot, kernels: [other('B', lacking)] })).toContain(
    'B has, which gives them',
  );
  const gone = { ...hot, kernels: [other('B', { ...away, ...lacking })] };
  expect(told('kernel-lacks', gone)).toContain('B has, which is not there');
});
