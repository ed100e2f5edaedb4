import { isUnobserved } from '../domain/quality.ts';
import type { LinkBatch } from '../drivers/driver.ts';

/** Which stations said something last; bounded by the stations of the process. */
export class StationHealth {
  readonly #answering = new Set<string>();

  get answering(): number {
    return this.#answering.size;
  }

  heard({ station, readings, unchangedUntilUs }: LinkBatch): void {
    const answers = unchangedUntilUs !== undefined || readings.some(({ quality }) => !isUnobserved(quality));
    if (answers) this.#answering.add(station);
    else if (readings.length > 0) this.#answering.delete(station);
  }

  lost(stations: readonly string[]): void {
    for (const station of stations) this.#answering.delete(station);
  }
}
