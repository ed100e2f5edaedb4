import type { SampleValue } from '../domain/sample.ts';

/**
 * What a simulated device handed to a client: the plant's own record, against which the archive is proved.
 * It is written by the simulators alone and knows nothing of the agent.
 */
export interface ServedValue {
  /** Full tag name. */
  readonly tag: string;
  /** The value in engineering units, as an archive should show it; `null` with a fault. */
  readonly value: SampleValue;
  /** When it was handed over, integer µs, wall clock of the simulator. */
  readonly servedAtUs: number;
  /** The device's own time of the value, integer µs, where the protocol carries one. */
  readonly sourceTimeUs: number | null;
}

/** Takes what the simulators serve, in the order in which they serve it. */
export interface ServedRecorder {
  served(value: ServedValue): void;
}

/** A running simulator of one line. */
export interface LineSimulator extends AsyncDisposable {
  /** A station (by name) stops answering, as if its cable were pulled; `false` plugs it in again. */
  unplug(station: string, unplugged: boolean): void;
}
