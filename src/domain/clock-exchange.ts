/**
 * One question and answer between the two clocks, as in NTP (RFC 5905, section 8): when the agent asked and
 * got the answer, on its monotonic clock, and when the Kernel heard it and answered, on its wall clock.
 * All integer µs.
 */
export interface ClockExchange {
  readonly sentUs: number;
  readonly receivedUs: number;
  readonly kernelReceivedUs: number;
  readonly kernelSentUs: number;
}

/** What is known of the Kernel's clock. */
export interface KernelTime {
  /** The Kernel's wall clock minus the agent's monotonic clock, µs. */
  readonly offsetUs: number;
  /** The true offset lies within ± this, µs, if the Kernel's clock runs evenly. */
  readonly uncertaintyUs: number;
}

/** Exchanges that are kept; the best of them counts. */
const EXCHANGES_MAX = 8;
/** How far two quartz clocks drift apart at most: 50 µs in a second. */
const DRIFT = 50e-6;

interface Sample {
  readonly offsetUs: number;
  /** Half of the way there and back. */
  readonly errorUs: number;
  readonly atUs: number;
}

/**
 * Follows the Kernel's clock by exchanges. The one with the shortest way there and back bounds the offset
 * best; its bound grows with age. Exchanges that contradict the newest one are from before the Kernel's clock
 * was set, or from another Kernel, and are forgotten.
 */
export class KernelClock {
  #samples: readonly Sample[] = [];

  /** False: the exchange makes no sense (a clock was set in the middle of it), and was not taken. */
  note({ sentUs, receivedUs, kernelReceivedUs, kernelSentUs }: ClockExchange): boolean {
    const heldUs = kernelSentUs - kernelReceivedUs;
    const roundTripUs = receivedUs - sentUs - heldUs;
    if (heldUs < 0 || receivedUs < sentUs || roundTripUs < -DRIFT * heldUs - 1) return false;
    const offsetUs = Math.round((kernelReceivedUs - sentUs + kernelSentUs - receivedUs) / 2);
    const sample = { offsetUs, errorUs: Math.max(1, roundTripUs / 2), atUs: receivedUs };
    const agreeing = this.#samples.filter((each) => {
      const boundUs = errorAt(each, receivedUs) + sample.errorUs;
      return Math.abs(each.offsetUs - offsetUs) <= boundUs;
    });
    this.#samples = [...agreeing, sample].slice(-EXCHANGES_MAX);
    return true;
  }

  /** At a monotonic time in µs; `null` before the first exchange. */
  at(monotonicUs: number): KernelTime | null {
    let best: KernelTime | null = null;
    for (const sample of this.#samples) {
      const uncertaintyUs = Math.ceil(errorAt(sample, monotonicUs));
      if (best === null || uncertaintyUs <= best.uncertaintyUs)
        best = { offsetUs: sample.offsetUs, uncertaintyUs };
    }
    return best;
  }
}

function errorAt({ errorUs, atUs }: Sample, monotonicUs: number): number {
  return errorUs + DRIFT * Math.max(0, monotonicUs - atUs);
}
