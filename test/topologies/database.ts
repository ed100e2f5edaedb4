import { PostgresServer, type ServerPlace } from '../postgres/server.ts';
import type { Network } from './network.ts';

/** Password of the role `kom`, as it stands in the file that the examples name. */
export const DATABASE_PASSWORD = 'figure';
const PORT = 5432;

/** Where the database of a host listens: in a namespace at all of its addresses, which may move. */
export function databasePlace(network: Network, host: string, address: string): ServerPlace {
  const namespace = network.namespaceOf(host);
  return { listen: network.isReal ? '*' : network.placed(address), port: PORT, namespace };
}

/** A server with an empty database `kom`, which its role may fill. */
export async function startDatabase(place: ServerPlace): Promise<PostgresServer> {
  const server = await PostgresServer.start({ place });
  server.sql(`CREATE ROLE kom LOGIN PASSWORD '${DATABASE_PASSWORD}'`);
  server.sql('CREATE DATABASE kom OWNER kom');
  return server;
}

/** A standby that follows a server, without which no commit counts from now on. */
export async function startReplica(
  primary: PostgresServer,
  place: ServerPlace,
  follows: string,
): Promise<PostgresServer> {
  const standby = await primary.startStandby({ place, follows });
  primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
  primary.sql('SELECT pg_reload_conf()');
  return standby;
}
