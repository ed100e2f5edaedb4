import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Address, formatAddress } from '../../src/world/transport.ts';

export type StandbyMode = 'cold' | 'warm' | 'hot';

export interface PairSiteOptions {
  /** Where the agents look for the Kernel, and each other: by the number of the instance. */
  readonly kernel: Address;
  readonly peers: Readonly<Record<1 | 2, { readonly address: Address; readonly listen: Address }>>;
  readonly modbus: Address;
  /** `null`: the process has no line of OPC UA. */
  readonly opcuaPort: number | null;
  readonly standby: StandbyMode;
  /** Its links leave the machine, without TLS. */
  readonly isOpen?: boolean;
  /** Of the buffer, with what follows from it. */
  readonly profile?: 'standard' | 'small';
}

export const SCAN_MS = 100;
const COUNTERS = 16;

/** Addresses that the connections of each instance leave from, by which a cable tells them apart. */
export const LOCAL: Readonly<Record<1 | 2, string>> = { 1: '127.0.0.11', 2: '127.0.0.12' };

/** One process on two comm servers, with quick lines of counters. Returns the site file. */
export function writePairSite(directory: string, options: PairSiteOptions): string {
  const { kernel, peers, modbus, opcuaPort, standby, profile = 'standard' } = options;
  const counters = Array.from({ length: COUNTERS }, (_, at) => [
    `c${at}`,
    { address: 2 * at, type: 'uint32', class: 'counter', scan: `${SCAN_MS}ms` },
  ]);
  const server = (instance: 1 | 2) => ({
    ...{ instance, data: `./agent${instance}`, controlSocket: `./agent${instance}.sock` },
    ...(options.isOpen === true ? {} : { localAddress: LOCAL[instance] }),
    peer: [
      {
        address: formatAddress(peers[instance].address),
        listen: formatAddress(peers[instance].listen),
      },
    ],
  });
  const site = {
    site: 'Waterworks',
    kernels: [{ address: formatAddress(kernel), insecure: options.isOpen === true }],
    peer: { insecure: options.isOpen === true },
    servers: { ServerKom1: server(1), ServerKom2: server(2) },
    processes: {
      KomA: {
        servers: ['ServerKom1', 'ServerKom2'],
        buffer: { ...{ capacity: '32MB', window: '2MB', freeDiskFloor: '1MB' }, profile },
        uplink: {
          reconnectDelayMin: '50ms',
          reconnectDelayMax: '200ms',
          holdMax: '1s',
          liveInterval: '100ms',
        },
        lines: {
          pumps: {
            driver: 'modbus-tcp',
            address: formatAddress(modbus),
            ...{ standby, doublePolling: standby === 'hot' },
            ...{ responseTimeout: '500ms', reconnectDelayMin: '100ms', reconnectDelayMax: '300ms' },
            stations: { P1: { unit: 1, tags: Object.fromEntries(counters) } },
          },
          ...(opcuaPort === null ? {} : { reactors: opcuaLine(opcuaPort) }),
        },
      },
    },
  };
  const file = join(directory, 'site.json');
  writeFileSync(file, JSON.stringify(site, null, 2));
  return file;
}

function opcuaLine(port: number): unknown {
  const counters = Array.from({ length: COUNTERS }, (_, at) => [
    `c${at}`,
    { nodeId: `ns=1;s=R1.c${at}`, type: 'int64', class: 'counter', sampling: `${SCAN_MS}ms` },
  ]);
  return {
    ...{ driver: 'opcua', endpoint: `opc.tcp://127.0.0.1:${port}/kom`, standby: 'warm' },
    ...{ publishingInterval: '100ms', reconnectDelayMin: '200ms', reconnectDelayMax: '500ms' },
    stations: { R1: { tags: Object.fromEntries(counters) } },
  };
}
