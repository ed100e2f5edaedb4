/** Waits are at most eight times as long. */
const DOUBLINGS_MAX = 3;

/**
 * How much longer one waits before one concludes again what was wrong a moment ago: that another instance is
 * gone. Each false alarm doubles the wait; after a calm time all of them are forgotten.
 */
export interface HoldDown {
  readonly falseAlarms: number;
  /** When the last one was, monotonic; negative infinity: none is remembered. */
  readonly lastMs: number;
}

export const NO_HOLD_DOWN: HoldDown = { falseAlarms: 0, lastMs: Number.NEGATIVE_INFINITY };

export function withFalseAlarm({ falseAlarms }: HoldDown, nowMs: number): HoldDown {
  return { falseAlarms: Math.min(DOUBLINGS_MAX, falseAlarms + 1), lastMs: nowMs };
}

/** The same, or none after a calm time. */
export function afterCalm(
  holdDown: HoldDown,
  { nowMs, calmMs }: { nowMs: number; calmMs: number },
): HoldDown {
  return nowMs - holdDown.lastMs >= calmMs ? NO_HOLD_DOWN : holdDown;
}

/** By how much the usual wait is multiplied. */
export function patience({ falseAlarms }: HoldDown): number {
  return 2 ** falseAlarms;
}
