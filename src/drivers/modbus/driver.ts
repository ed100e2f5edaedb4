import type { ModbusLine } from '../../config/model.ts';
import type { Driver } from '../driver.ts';
import { openChannel } from './channel.ts';
import { type LinkWorld, ModbusLink } from './link.ts';

/**
 * The driver of one Modbus line (TCP, RTU over TCP, or RTU on a serial port). One channel carries all units
 * of the line, one request at a time. It only reads: function codes 1 to 4.
 */
export function createModbusDriver(line: ModbusLine, world: LinkWorld): Driver {
  return {
    async connect(signal) {
      const channel = await openChannel(line, world.clock, signal);
      return new ModbusLink(line, channel, world);
    },
  };
}
