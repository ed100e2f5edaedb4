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
    failover: { standby: 'cold', isExclusive: false, onIsolation: 'release', isTested: true },
    stations: [],
    ...fields,
  };
}

/**
 * Tags of every table, raw type, word and byte order, with and without scaling; two counters per register
 * table.
 */
export function everyKindOfTag(): ModbusTag[] {
  const tags: ModbusTag[] = [];
  const add = (fields: Partial<ModbusTag>): void => {
    const index = tags.length;
    tags.push(modbusTag({ index, name: `plant.tag${index}`, ...fields }));
  };
  let address = 0;
  for (const table of ['holding-register', 'input-register'] as const) {
    for (const rawType of [
      'int16',
      'uint16',
      'int32',
      'uint32',
      'int64',
      'uint64',
      'float32',
      'float64',
    ] as const) {
      for (const wordOrder of ['big', 'little'] as const) {
        for (const byteOrder of ['big', 'little'] as const) {
          for (const scaling of [
            { scale: 1, offset: 0 },
            { scale: 0.1, offset: -40 },
          ]) {
            add({ table, rawType, wordOrder, byteOrder, ...scaling, address });
            address += 4;
          }
        }
      }
    }
    for (let bitIndex = 0; bitIndex < 16; bitIndex++) {
      add({ table, rawType: 'bit', bitIndex, address, byteOrder: bitIndex % 2 === 0 ? 'big' : 'little' });
      address += bitIndex % 2;
    }
    add({ table, class: 'counter', rawType: 'uint32', address: address + 1 });
    add({ table, class: 'counter', rawType: 'int64', address: address + 3 });
    address += 20;
  }
  for (const table of ['coil', 'discrete-input'] as const) {
    for (let bit = 0; bit < 40; bit++) add({ table, rawType: 'bit', address: bit * 3 });
  }
  return tags;
}
