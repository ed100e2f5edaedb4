import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KomError } from '../domain/errors.ts';
import type { Transport } from '../world/transport.ts';

/** The parts of a site file that name devices. */
export interface DeviceAddresses {
  processes?: Record<string, { lines?: Record<string, { address?: string; endpoint?: string }> }>;
}

/** Puts free ports of this machine in place of every device address. Serial lines stay as they are. */
export async function useLocalDevices(site: DeviceAddresses, transport: Transport): Promise<void> {
  for (const process of Object.values(site.processes ?? {})) {
    for (const line of Object.values(process.lines ?? {})) {
      if (line.address !== undefined) line.address = `127.0.0.1:${await freePort(transport)}`;
      if (line.endpoint !== undefined) {
        line.endpoint = `opc.tcp://127.0.0.1:${await freePort(transport)}${pathOf(line.endpoint)}`;
      }
    }
  }
}

/**
 * Writes a copy of a site file whose devices are on this machine, for simulators to stand in.
 * @throws KomError KOM_USAGE if the file holds no site, or its lines come from included files
 */
export async function writeLocalSite(from: string, to: string, transport: Transport): Promise<void> {
  const site = JSON.parse(readFileSync(from, 'utf8')) as DeviceAddresses & { include?: unknown };
  if (site.include !== undefined) {
    throw new KomError('KOM_USAGE', `${from} includes other files, whose addresses a copy does not reach`, {
      hint: 'simulate at the addresses of the file, without --local',
    });
  }
  if (resolve(dirname(from)) !== resolve(dirname(to))) {
    throw new KomError('KOM_USAGE', `${to} is in another directory than ${from}`, {
      hint: 'files that a site names are looked for beside it',
    });
  }
  await useLocalDevices(site, transport);
  writeFileSync(to, `${JSON.stringify(site, null, 2)}\n`);
}

/** A port that nobody listens on now. */
export async function freePort(transport: Transport): Promise<number> {
  const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
    connection.destroy(),
  );
  await listener.close();
  return listener.address.port;
}

function pathOf(endpointUrl: string): string {
  return /^[a-z.]+:\/\/[^/]*(\/.*)?$/.exec(endpointUrl)?.[1] ?? '';
}
