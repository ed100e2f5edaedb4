/** Bounds of a reconnect delay, milliseconds. */
export interface BackoffOptions {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Uniform in [0, 1). */
  readonly fraction: () => number;
}

/**
 * Decorrelated jitter: each delay is drawn between the minimum and three times the one before it (before
 * the first: the minimum), at most the maximum. Many agents that lose one Kernel come back spread out, the
 * first time too. Endless; begin anew after a stable time.
 */
export function* backoffDelaysMs(options: BackoffOptions): Generator<number, never> {
  const { delayMinMs, delayMaxMs, fraction } = options;
  let delayMs = delayMinMs;
  while (true) {
    delayMs = Math.min(delayMaxMs, delayMinMs + fraction() * (delayMs * 3 - delayMinMs));
    yield delayMs;
  }
}
