import { join } from 'node:path';
import type { ModbusLine, ModbusTag, Process, Server, Site } from '../../src/config/model.ts';
import { COLD, UNSAID } from '../../src/config/redundancy.fixture.ts';
import type { Address } from '../../src/world/transport.ts';
import { Plant } from './workload.ts';

/** A process of one line with the tags of the busy plant, its ring below the directory. */
export function benchSite(
  kernel: Address,
  { directory, ringBytes }: { readonly directory: string; readonly ringBytes: number },
): { site: Site; server: Server; process: Process } {
  const plant = new Plant('mixedBusy');
  const stations = [...new Set(plant.tags.map(({ station }) => station))].map((name, unit) => ({
    ...{ name, mode: 'on' as const, unit, maxRegistersPerRequest: 120, maxBitsPerRequest: 2000, maxGap: 0 },
    tags: plant.tags.flatMap((tag, index) => (tag.station === name ? [tagOf(tag.name, index)] : [])),
  }));
  const line: ModbusLine = {
    ...{ name: 'L1', driver: 'modbus', responseTimeoutMs: 1000, retries: 0, requestGapMs: 0 },
    ...{ degradeAfterCycles: 3, probeIntervalMs: 1000, reconnectDelayMinMs: 100, reconnectDelayMaxMs: 1000 },
    failover: COLD,
    channel: { kind: 'tcp', address: { host: '127.0.0.1', port: 1 } },
    stations,
  };
  const process: Process = {
    name: 'KomA',
    servers: ['Bench'],
    buffer: {
      ...{ store: 'on-outage', capacityBytes: ringBytes, freeDiskFloorBytes: 0, alarmShare: 0 },
      ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
      ...{ aliveMarkMs: 5000, windowBytes: 8e6 },
    },
    uplink: {
      ...{ heartbeatMs: 300, silenceMaxMs: 3000, connectTimeoutMs: 3000, liveIntervalMs: 500 },
      ...{ reconnectDelayMinMs: 100, reconnectDelayMaxMs: 1000, stableAfterMs: 10_000, holdMaxMs: 30_000 },
      ...{ probeIntervalMs: 60_000, returnAfterMs: 60_000 },
      ...{ minBytesPerS: 0, maxBytesPerS: Number.POSITIVE_INFINITY, leaseRenewMs: 300, leaseMs: 1200 },
    },
    redundancy: UNSAID,
    lines: [line],
  };
  const server: Server = {
    ...{
      name: 'Bench',
      instance: 1,
      dataDirectory: directory,
      controlSocket: join(directory, 'sock'),
      peers: [],
      tls: null,
    },
  };
  const kernels = [{ ...kernel, insecure: true, localAddresses: {} }];
  const site: Site = {
    ...{ name: 'Bench', hash: 'a'.repeat(32), clock: 'system', kernels, servers: [server] },
    processes: [process],
  };
  return { site, server, process };
}

function tagOf(name: string, index: number): ModbusTag {
  return {
    ...{ index, name, class: 'measurement', type: 'float64', engineeringUnit: '', description: '' },
    ...{ formerly: [], deadband: 0, reportAtLeastEveryMs: 600_000, origin: 'bench', scanMs: 1000 },
    ...{ table: 'holding-register', address: index, rawType: 'int16', bitIndex: 0, wordOrder: 'big' },
    ...{ byteOrder: 'big', scale: 1, offset: 0 },
  };
}
