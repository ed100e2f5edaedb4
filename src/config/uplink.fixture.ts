import type { UplinkSettings } from './model.ts';

/** What `wired` of the site file gives. */
export const WIRED: UplinkSettings = {
  heartbeatMs: 400,
  silenceMaxMs: 1200,
  connectTimeoutMs: 5000,
  reconnectDelayMinMs: 250,
  reconnectDelayMaxMs: 5000,
  stableAfterMs: 10_000,
  holdMaxMs: 30_000,
  probeIntervalMs: 5000,
  returnAfterMs: 30_000,
  minBytesPerS: 0,
  maxBytesPerS: Number.POSITIVE_INFINITY,
  liveIntervalMs: 250,
  leaseRenewMs: 300,
  leaseMs: 1200,
};
