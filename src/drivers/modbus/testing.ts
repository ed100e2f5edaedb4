import type { ModbusLine, ModbusStation, ModbusTag } from '../../config/model.ts';

/** A tag for tests: an uint16 holding register, scanned every 100 ms, where `fields` say nothing else. */
export function modbusTag(fields: Partial<ModbusTag> = {}): ModbusTag {
  const index = fields.index ?? 0;
  return {
    index,
    name: `tag${index}`,
    class: 'measurement',
    type: 'int64',
    engineeringUnit: '',
    description: '',
    formerly: [],
    deadband: 0,
    reportAtLeastEveryMs: 600_000,
    origin: 'test',
    table: 'holding-register',
    address: 0,
    rawType: 'uint16',
    bitIndex: 0,
    wordOrder: 'big',
    byteOrder: 'big',
    scale: 1,
    offset: 0,
    scanMs: 100,
    ...fields,
  };
}

/** A station for tests with the standard's limits. */
export function modbusStation(fields: Partial<ModbusStation> = {}): ModbusStation {
  return {
    name: 'P1',
    mode: 'on',
    unit: 1,
    maxRegistersPerRequest: 125,
    maxBitsPerRequest: 2000,
    maxGap: 8,
    tags: [],
    ...fields,
  };
}

/** A line for tests on a local TCP port. */
export function modbusLine(fields: Partial<ModbusLine> = {}): ModbusLine {
  return {
    name: 'L1',
    driver: 'modbus',
    channel: { kind: 'tcp', address: { host: '127.0.0.1', port: 0 } },
    reconnectDelayMinMs: 100,
    reconnectDelayMaxMs: 1000,
    responseTimeoutMs: 200,
    retries: 1,
    requestGapMs: 0,
    degradeAfterCycles: 2,
    probeIntervalMs: 1000,
    stations: [],
    ...fields,
  };
}
