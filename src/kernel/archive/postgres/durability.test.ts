import { expect, test } from 'vitest';
import { durabilityFindings, FAILOVER_FINDING } from './durability.ts';

const SAFE = { synchronousCommit: 'on', standbyNames: 'FIRST 1 (db2)', isSynced: true };

test('a commit that a standby has on its disk is worth what it says', () => {
  for (const synchronousCommit of ['on', 'remote_apply']) {
    expect(durabilityFindings({ ...SAFE, synchronousCommit }, 2)).toEqual([]);
  }
  expect(durabilityFindings({ ...SAFE, standbyNames: '' }, 1)).toEqual([]);
});

test('what can be lost is said', () => {
  expect(durabilityFindings({ ...SAFE, standbyNames: '' }, 2)).toEqual([FAILOVER_FINDING]);
  expect(durabilityFindings({ ...SAFE, isSynced: false }, 1)).toEqual([
    expect.stringContaining('a power cut can destroy the archive'),
  ]);
  expect(durabilityFindings({ ...SAFE, synchronousCommit: 'remote_write' }, 2)).toEqual([
    expect.stringContaining('not on its disk'),
  ]);
});
