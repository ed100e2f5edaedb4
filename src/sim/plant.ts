import type { Line, Process, Site } from '../config/model.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { LineSimulator, ServedRecorder } from './record.ts';

export interface PlantOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Same seed, same behaviour. */
  readonly seed: number;
  readonly recorder: ServedRecorder;
}

/** Simulators of every line of a site, at the addresses that the site file names. */
export class Plant implements AsyncDisposable {
  readonly #simulators: readonly { readonly line: Line; readonly simulator: LineSimulator }[];

  private constructor(simulators: Plant['lines']) {
    this.#simulators = simulators;
  }

  static async start(site: Site, options: PlantOptions): Promise<Plant> {
    const simulators: { line: Line; simulator: LineSimulator }[] = [];
    try {
      for (const line of site.processes.flatMap((process: Process) => process.lines)) {
        simulators.push({ line, simulator: await simulateLine(line, options) });
      }
    } catch (error) {
      for (const { simulator } of simulators) await simulator[Symbol.asyncDispose]();
      throw error;
    }
    return new Plant(simulators);
  }

  get lines(): readonly { readonly line: Line; readonly simulator: LineSimulator }[] {
    return this.#simulators;
  }

  /** Pulls or plugs the cable of a station; false if there is no such station. */
  unplug(station: string, unplugged: boolean): boolean {
    const found = this.#simulators.find(({ line }) => line.stations.some(({ name }) => name === station));
    found?.simulator.unplug(station, unplugged);
    return found !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { simulator } of this.#simulators) await simulator[Symbol.asyncDispose]();
  }
}

async function simulateLine(line: Line, options: PlantOptions): Promise<LineSimulator> {
  switch (line.driver) {
    case 'modbus':
      return await (await import('./modbus/simulator.ts')).simulateModbusLine(line, options);
    case 'opcua':
      return await (await import('./opcua/simulator.ts')).simulateOpcuaLine(line, options);
  }
}
