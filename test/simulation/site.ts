import type { ModbusLine, ModbusTag, Process, Server, Site } from '../../src/config/model.ts';
import { COLD, UNSAID } from '../../src/config/redundancy.fixture.ts';
import type { ValueType } from '../../src/domain/dictionary.ts';
import type { LineOptions, Swarm } from './options.ts';
import { ALARM_TAG } from './parts.ts';
import { TAGS } from './plant.ts';

export const SITE = 'Simulated';
export const PROCESS = 'KomA';
export const KERNEL_HOST = 'kernel';
export const KERNEL_PORT = 3119;
export const SERVER: Server = {
  name: 'ServerKom1',
  instance: 1,
  dataDirectory: '/data',
  controlSocket: '/run/kom/agent',
  peers: [],
  tls: null,
};

const TYPES: readonly ValueType[] = ['int64', 'float64', 'bool', 'text'];

/** The site of a seed. What only a real Modbus driver reads has any value. */
export function siteOf(swarm: Swarm): { readonly site: Site; readonly process: Process } {
  let index = 0;
  const nextIndex = () => index++;
  const process: Process = {
    name: PROCESS,
    servers: [SERVER.name],
    buffer: {
      store: swarm.policy,
      capacityBytes: swarm.capacityBytes,
      freeDiskFloorBytes: 0,
      whenFull: swarm.whenFull,
      powerCutLossMaxMs: 10_000,
      blockAgeMs: swarm.blockAgeMs,
      spillAgeMs: swarm.spillAgeMs,
      aliveMarkMs: swarm.aliveMarkMs,
      windowBytes: swarm.windowBytes,
      alarmShare: swarm.alarmShare,
    },
    uplink: {
      heartbeatMs: 500,
      silenceMaxMs: 3000,
      connectTimeoutMs: 3000,
      reconnectDelayMinMs: 200,
      reconnectDelayMaxMs: 3000,
      liveIntervalMs: swarm.liveIntervalMs,
      ...{ stableAfterMs: 10_000, holdMaxMs: 2000, probeIntervalMs: 5000, returnAfterMs: 10_000 },
      ...{ minBytesPerS: 0, maxBytesPerS: Number.POSITIVE_INFINITY, leaseRenewMs: 300, leaseMs: 1200 },
    },
    redundancy: UNSAID,
    lines: swarm.lines.map((line) => lineOf(line, swarm, nextIndex)),
  };
  const kernels = [{ host: KERNEL_HOST, port: KERNEL_PORT, insecure: true, localAddresses: {} }];
  const site = {
    name: SITE,
    hash: '5'.repeat(32),
    clock: swarm.clockMode,
    kernels,
    servers: [SERVER],
    processes: [process],
  };
  return { site, process };
}

function lineOf(line: LineOptions, swarm: Swarm, nextIndex: () => number): ModbusLine {
  return {
    driver: 'modbus',
    name: line.name,
    reconnectDelayMinMs: 200,
    reconnectDelayMaxMs: 3000,
    channel: { kind: 'tcp', address: { host: line.name, port: 502 } },
    ...{ responseTimeoutMs: 500, retries: 1, requestGapMs: 0, degradeAfterCycles: 3, probeIntervalMs: 1000 },
    failover: COLD,
    stations: line.stations.map(({ name, scanMs }) => ({
      ...{ name, mode: 'on', unit: 1, maxRegistersPerRequest: 125, maxBitsPerRequest: 2000, maxGap: 0 },
      tags: TAGS.map((tag, at) => ({
        ...tagDefaults(nextIndex(), swarm.reportAtLeastEveryMs, scanMs),
        name: `${name}.${tag}`,
        type: TYPES[at] ?? 'text',
        class: tag === ALARM_TAG ? 'alarm' : 'measurement',
      })),
    })),
  };
}

function tagDefaults(
  index: number,
  reportAtLeastEveryMs: number,
  scanMs: number,
): Omit<ModbusTag, 'type' | 'class'> {
  return {
    ...{ index, name: '', engineeringUnit: '', description: '', formerly: [] },
    ...{ deadband: 0, reportAtLeastEveryMs, origin: 'simulation', table: 'holding-register', address: 0 },
    ...{ rawType: 'uint16', bitIndex: 0, wordOrder: 'big', byteOrder: 'big', scale: 1, offset: 0, scanMs },
  };
}
