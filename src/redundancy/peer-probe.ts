import { isKomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Connection } from '../world/transport.ts';

/** So often the addresses are dialled, */
const PROBE_MS = 100;
/** and after this time */
const EAGER_MS = 10_000;
/** so often. */
const PATIENT_MS = 1000;

export interface PeerProbeOptions {
  /** Number of addresses. */
  readonly count: number;
  readonly connect: (index: number, signal: AbortSignal) => Promise<Connection>;
  readonly clock: Clock;
}

/**
 * Looks for evidence that the process of the peer is dead. All connections to it have ended; now its
 * addresses are dialled. A machine that answers that nobody listens is evidence; a connection that is taken
 * is evidence of the contrary, and silence is none.
 */
export class PeerProbe {
  readonly #options: PeerProbeOptions;
  #stop: AbortController | null = null;
  #goneMs: number | null = null;

  constructor(options: PeerProbeOptions) {
    this.#options = options;
  }

  /** Since when the evidence is there, monotonic. */
  get goneMs(): number | null {
    return this.#goneMs;
  }

  /** @throws through `failed` what is no operating error */
  start(failed: (error: unknown) => void): void {
    if (this.#stop !== null) return;
    const stop = new AbortController();
    this.#stop = stop;
    for (let index = 0; index < this.#options.count; index++) {
      this.#dial(index, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted) failed(error);
      });
    }
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#goneMs = null;
  }

  async #dial(index: number, signal: AbortSignal): Promise<void> {
    const { clock, connect } = this.#options;
    const startedMs = clock.monotonicMs();
    while (!signal.aborted) {
      try {
        const connection = await connect(index, signal);
        connection.destroy();
        this.#answered(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (isKomError(error, 'KOM_CONNECTION_REFUSED')) this.#goneMs ??= clock.monotonicMs();
        else if (!isKomError(error)) throw error;
        // Who refuses a certificate, or has none that we accept, is there.
        else if (error.code.startsWith('KOM_TLS_')) this.#answered(signal);
      }
      const isEager = clock.monotonicMs() - startedMs < EAGER_MS;
      await clock.sleep(isEager ? PROBE_MS : PATIENT_MS, signal);
    }
  }

  #answered(signal: AbortSignal): void {
    if (!signal.aborted) this.#goneMs = null;
  }
}
