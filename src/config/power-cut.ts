/**
 * Ages and paces that keep what a power cut loses within the configured bound, in ms: the bound itself, the
 * age at which a block is sealed, the age at which it goes to the ring when not acknowledged, and the pace of
 * the alive mark.
 */
export const POWER_CUT = {
  '1s': { lossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500, aliveMarkMs: 5000 },
  '10s': { lossMaxMs: 10_000, blockAgeMs: 1000, spillAgeMs: 5000, aliveMarkMs: 10_000 },
  '60s': { lossMaxMs: 60_000, blockAgeMs: 5000, spillAgeMs: 30_000, aliveMarkMs: 60_000 },
} as const;
