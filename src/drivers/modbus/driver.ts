import type { ModbusLine } from '../../config/model.ts';
import { KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';
import type { Driver } from '../driver.ts';
import { type Channel, openChannel } from './channel.ts';
import { type LinkWorld, ModbusLink } from './link.ts';
import { listeningMs } from './listening.ts';
import { planRequests } from './plan.ts';
import { checkSerialDevice } from './serial-device.ts';

/**
 * The driver of one Modbus line (TCP, RTU over TCP, or RTU on a serial port). One channel carries all units
 * of the line, one request at a time. It only reads: function codes 1 to 4.
 */
export function createModbusDriver(line: ModbusLine, world: LinkWorld): Driver {
  return {
    async connect(signal, { role = 'active', failoverMs, listenFirst = false } = {}) {
      const channel = await openChannel(line, world.clock, signal);
      if (listenFirst && line.channel.kind !== 'tcp') await listenFor(line, channel, signal);
      if (signal.aborted) await channel.close();
      signal.throwIfAborted();
      const start = { role, isUrgent: failoverMs !== undefined, signal };
      return new ModbusLink(line, channel, { ...world, start });
    },
    prove: (signal) => prove(line, world.clock, signal),
  };
}

/** @throws KomError KOM_LINE_IN_USE while somebody else asks; then the channel is closed */
async function listenFor(line: ModbusLine, channel: Channel, signal: AbortSignal): Promise<void> {
  try {
    const ms = listeningMs(line);
    const requests = await channel.listen(ms, signal);
    if (requests === 0) return;
    throw new KomError('KOM_LINE_IN_USE', `line ${line.name}`, {
      expected: `${ms} ms without a request of somebody else`,
      got: `${requests} requests`,
    });
  } catch (error) {
    await channel.close();
    throw error;
  }
}

async function prove(line: ModbusLine, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const { channel } = line;
  if (channel.kind === 'rtu') {
    await checkSerialDevice(line.name, channel.device);
    return true;
  }
  if (line.failover.isExclusive) return false;
  const opened = await openChannel(line, clock, signal);
  try {
    const asked = line.stations
      .filter(({ mode }) => mode === 'on')
      .flatMap((station) => planRequests(station).map((request) => ({ station, request })))[0];
    if (asked === undefined) return true;
    const { table, address, count } = asked.request;
    const outcome = await opened.read({ unit: asked.station.unit, table, address, count });
    // An exception is an answer too.
    if (outcome.kind === 'data' || outcome.kind === 'exception') return true;
    throw new KomError('KOM_DEVICE_TIMEOUT', `station ${asked.station.name} of line ${line.name}`, {
      got: outcome.kind === 'timeout' ? 'no answer' : outcome.reason,
    });
  } finally {
    await opened.close();
  }
}
