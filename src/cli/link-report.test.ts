import { expect, test } from 'vitest';
import type { PathStatus } from '../uplink/lane-maker.ts';
import type { UplinkStatus } from '../uplink/uplink.ts';
import { uplinkLines } from './link-report.ts';

const AT_US = 1_767_225_600_000_000;
const path = (port: number, more: Partial<PathStatus>): PathStatus => ({
  ...{ address: `10.0.0.1:${port}`, localAddress: null, state: 'unknown', heardSinceUs: null },
  ...{ lastError: null, failedUs: null, ...more },
});

test('each path says how it is with it now, and of an error when it was', () => {
  const uplink: UplinkStatus = {
    ...{ kernel: '10.0.0.1:1', sinceUs: AT_US, lastError: null, heldForMs: 0, shortSessions: 0 },
    ...{ bytesPerS: null, isBelowMinRate: false },
    paths: [
      path(1, { state: 'in-use' }),
      path(2, { state: 'standby', heardSinceUs: AT_US + 2e6, localAddress: '10.0.0.7' }),
      path(3, { state: 'answers', heardSinceUs: AT_US }),
      path(4, { state: 'waits', lastError: 'the connection was refused', failedUs: AT_US + 1e6 }),
    ],
  };
  expect([...uplinkLines(uplink)]).toEqual([
    '  uplink       10.0.0.1:1 since 2026-01-01T00:00:00.000000Z',
    '    path       10.0.0.1:1: in-use',
    '    path       10.0.0.1:2 from 10.0.0.7: standby, heard since 2026-01-01T00:00:02.000000Z',
    '    path       10.0.0.1:3: answers, heard as the hot one since 2026-01-01T00:00:00.000000Z',
    '    path       10.0.0.1:4: waits, last at 2026-01-01T00:00:01.000000Z: the connection was refused',
  ]);
});
