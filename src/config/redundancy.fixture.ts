import type { LineFailover, RedundancySettings } from './model.ts';

/** What a site file gives that says nothing of several instances. */
export const UNSAID: RedundancySettings = {
  preferredInstance: 0,
  preferHoldOffMs: 10_000,
  peerTimeoutMs: 1000,
  peerHeartbeatMs: 250,
  fitnessIntervalMs: 3_600_000,
  fitnessMaxAgeMs: 86_400_000,
  isMirrored: true,
};

export const COLD: LineFailover = {
  standby: 'cold',
  isExclusive: false,
  onIsolation: 'release',
  isTested: true,
};
