import type { Line } from '../config/model.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Driver } from './driver.ts';

/** The driver of a line. A protocol's library is loaded only when a line speaks it. */
export async function createDriver(line: Line, world: { clock: Clock; log: Log }): Promise<Driver> {
  switch (line.driver) {
    case 'modbus':
      return (await import('./modbus/driver.ts')).createModbusDriver(line, world);
    case 'opcua':
      return (await import('./opcua/driver.ts')).createOpcuaDriver(line, world);
  }
}
