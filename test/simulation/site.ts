import type {
  Line,
  LineFailover,
  ModbusLine,
  ModbusTag,
  OpcuaLine,
  Process,
  Server,
  Site,
} from '../../src/config/model.ts';
import { COLD, UNSAID } from '../../src/config/redundancy.fixture.ts';
import { COMMAND_NAMES } from '../../src/domain/commands.ts';
import type { ValueType } from '../../src/domain/dictionary.ts';
import type { LineOptions, Swarm } from './options.ts';
import type { PairOptions } from './pair-options.ts';
import { ALARM_TAG } from './parts.ts';
import { TAGS } from './plant.ts';

export const SITE = 'Simulated';
export const PROCESS = 'KomA';
export const KERNEL_HOST = 'kernel';
/** Where the Kernels run, those that a seed has. */
const KERNEL_HOSTS = [KERNEL_HOST, 'kernel2', 'kernel3'] as const;
export const KERNEL_PORT = 3119;
export const SERVER: Server = {
  name: 'ServerKom1',
  instance: 1,
  dataDirectory: '/data',
  controlSocket: '/run/kom/agent',
  peers: [],
  tls: null,
};

/** Instance 2 runs here. */
const SECOND_SERVER: Server = { ...SERVER, name: 'ServerKom2', instance: 2 };
const PEER_PORT = 3120;

/** The address of a server in a network between the servers. */
export function peerHost(instance: number, network: number): string {
  return `peer${instance}.${network + 1}`;
}

/** The machines of the Kernels of a seed. */
export function kernelHostsOf({ kernels, shared }: Swarm): readonly string[] {
  return KERNEL_HOSTS.slice(0, kernels?.count ?? shared?.count ?? 1);
}

/** The comm servers of a seed, by instance. */
export function serversOf({ pair }: Swarm): readonly [Server, ...Server[]] {
  if (pair === null) return [SERVER];
  return [withPeers(SERVER, pair), withPeers(SECOND_SERVER, pair)];
}

function withPeers(server: Server, { networks }: PairOptions): Server {
  const peers = Array.from({ length: networks }, (_, network) => {
    const address = { host: peerHost(server.instance, network), port: PEER_PORT };
    return { address, listen: address, insecure: true };
  });
  return { ...server, peers };
}

const TYPES: readonly ValueType[] = ['int64', 'float64', 'bool', 'text'];

/** The site of a seed. What only a real Modbus driver reads has any value. */
export function siteOf(swarm: Swarm): { readonly site: Site; readonly process: Process } {
  let index = 0;
  const { pair } = swarm;
  const servers = serversOf(swarm);
  const nextIndex = () => index++;
  const process: Process = {
    name: PROCESS,
    servers: servers.map(({ name }) => name),
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
    redundancy:
      pair === null
        ? UNSAID
        : {
            ...UNSAID,
            preferredInstance: pair.preferredInstance,
            preferHoldOffMs: pair.preferHoldOffMs,
            peerTimeoutMs: pair.peerTimeoutMs,
          },
    lines: swarm.lines.map((line, at) => {
      const modbus = lineOf(line, swarm, nextIndex);
      return pair === null ? modbus : sharedLine(line, modbus, { ...COLD, ...pair.lines[at] });
    }),
  };
  const kernels = kernelHostsOf(swarm).map((host) => {
    return { host, port: KERNEL_PORT, insecure: true, localAddresses: {} };
  });
  const site = {
    name: SITE,
    hash: '5'.repeat(32),
    clock: swarm.clockMode,
    commandsAllowed: COMMAND_NAMES,
    kernels,
    servers,
    processes: [process],
  };
  return { site, process };
}

/** What is subscribed has no scans, by which the archive tells which rows speak of one moment. */
function sharedLine(line: LineOptions, modbus: ModbusLine, failover: LineFailover): Line {
  if (line.kind === 'poll') return { ...modbus, failover };
  const { name, reconnectDelayMinMs, reconnectDelayMaxMs } = modbus;
  const opcua: OpcuaLine = {
    ...{ driver: 'opcua', name, reconnectDelayMinMs, reconnectDelayMaxMs, failover },
    ...{ endpointUrl: `opc.tcp://${name}:4840`, securityPolicy: 'None', securityMode: 'None' },
    ...{ pkiDirectory: '/data/pki', trustOnFirstUse: false, publishingIntervalMs: line.publishMs },
    ...{ keepAliveCount: 1, lifetimeCount: 3, sessionTimeoutMs: 60_000, connectTimeoutMs: 3000 },
    stations: modbus.stations.map(({ name: station, mode, tags }) => ({
      name: station,
      mode,
      tags: tags.map((tag) => ({
        ...{ index: tag.index, name: tag.name, class: tag.class, type: tag.type, engineeringUnit: '' },
        ...{ description: '', formerly: [], deadband: 0, reportAtLeastEveryMs: tag.reportAtLeastEveryMs },
        ...{ origin: tag.origin, nodeId: `ns=2;s=${tag.name}`, samplingIntervalMs: 0, queueSize: 1 },
      })),
    })),
  };
  return opcua;
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
