import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StorePolicy } from '../../../src/config/model.ts';
import { type Address, formatAddress } from '../../../src/world/transport.ts';

export interface SmallSiteOptions {
  readonly clock?: 'system' | 'kernel';
  readonly store?: StorePolicy;
  /** Where the agent looks for its Kernels. */
  readonly kernels: readonly Address[];
  /** Ports of the device simulators. */
  readonly modbusPort: number;
  /** One more line, if given. */
  readonly opcuaPort?: number | undefined;
}

/** Small and quick: two Modbus stations of nine tags each, and if wanted an OPC UA station. */
function siteOf(options: SmallSiteOptions): unknown {
  const opcua =
    options.opcuaPort === undefined
      ? {}
      : {
          reactors: {
            driver: 'opcua',
            endpoint: `opc.tcp://127.0.0.1:${options.opcuaPort}/kom`,
            publishingInterval: '100ms',
            reconnectDelayMin: '200ms',
            reconnectDelayMax: '500ms',
            stations: {
              R1: {
                tags: {
                  level: { nodeId: 'ns=1;s=R1.level', type: 'float64', sampling: '100ms' },
                  mode: { nodeId: 'ns=1;s=R1.mode', type: 'text', sampling: '200ms' },
                  total: {
                    nodeId: 'ns=1;s=R1.total',
                    type: 'int64',
                    class: 'counter',
                    sampling: '100ms',
                  },
                },
              },
            },
          },
        };
  return {
    site: 'Waterworks',
    clock: options.clock ?? 'system',
    kernels: options.kernels.map((address) => ({ address: formatAddress(address) })),
    servers: { ServerKom1: { instance: 1, data: './agent', controlSocket: './agent.sock' } },
    templates: { pump: { parameters: { base: 'integer' }, tags: PUMP } },
    processes: {
      KomA: {
        buffer: {
          store: options.store ?? 'on-outage',
          capacity: '32MB',
          window: '2MB',
          freeDiskFloor: '1MB',
        },
        uplink: {
          heartbeat: '100ms',
          silenceMax: '1s',
          connectTimeout: '1s',
          reconnectDelayMin: '50ms',
          reconnectDelayMax: '200ms',
          stableAfter: '2s',
          holdMax: '1s',
          liveInterval: '100ms',
        },
        lines: {
          pumps: {
            driver: 'modbus-tcp',
            address: `127.0.0.1:${options.modbusPort}`,
            responseTimeout: '200ms',
            retries: 0,
            degradeAfterCycles: 2,
            probeInterval: '300ms',
            reconnectDelayMin: '100ms',
            reconnectDelayMax: '300ms',
            stations: {
              P1: { unit: 1, template: 'pump', parameters: { base: 100 } },
              P2: { unit: 2, template: 'pump', parameters: { base: 200 } },
            },
          },
          ...opcua,
        },
      },
    },
  };
}

const PUMP = {
  flow: { address: '{base}', type: 'float32', scan: '100ms', unit: 'm3/h' },
  pressure: { address: '{base}+2', type: 'int16', scale: 0.01, scan: '100ms' },
  volume: { address: '{base}+4', type: 'int64', class: 'counter', scan: '100ms' },
  energy: { address: '{base}+8', type: 'uint64', class: 'counter', wordOrder: 'little', scan: '200ms' },
  efficiency: { address: '{base}+12', type: 'float64', scan: '200ms' },
  hours: { address: '{base}+16', type: 'uint32', class: 'counter', scan: '200ms' },
  speed: { address: '{base}+18', type: 'uint16', scan: '200ms' },
  fault: { address: '{base}', table: 'discrete-input', class: 'alarm', scan: '100ms' },
  running: { address: '{base}', table: 'coil', scan: '200ms' },
};

/** Files of a site and its Kernel in one directory: `site.json`, `kernel.json`. */
export function writeSiteFile(directory: string, options: SmallSiteOptions): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'site.json');
  writeFileSync(file, JSON.stringify(siteOf(options), null, 2));
  return file;
}

/** Writes the file of a Kernel that listens on an address, with the embedded archive or another one. */
export function writeKernelFile(
  directory: string,
  listen: Address,
  archive: unknown = { kind: 'embedded', directory: './archive', memoryLimit: '128MB' },
): string {
  const file = join(directory, 'kernel.json');
  const config = {
    listen: formatAddress(listen),
    archive,
    controlSocket: './kernel.sock',
  };
  writeFileSync(file, JSON.stringify(config, null, 2));
  return file;
}
