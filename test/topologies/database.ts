import type { KeyedCertificate } from '../../src/pki/issue.ts';
import { until } from '../integration/support/until.ts';
import { manualSql } from '../postgres/manual.ts';
import { PostgresServer, type ServerPlace } from '../postgres/server.ts';
import type { Network } from './network.ts';

const PORT = 5432;

/** Files of a Kernel that the examples name, and what is in them. */
export const DATABASE_SECRETS = {
  // Those that the statements of the manual set.
  'secrets/kom-owner': 'change me 1',
  'secrets/kom-writer': 'change me 2',
} as const;
/** The certificate of who vouches for the database, where the examples name it. */
export const DATABASE_CA = 'tls/database-ca.pem';

/** Whoever has a password comes with TLS or not at all; servers that follow this one come as they like. */
const SECURED_HBA = `local all,replication all trust
hostssl all all all scram-sha-256
host replication postgres all trust
`;

/** Where the database of a host listens: in a namespace at all of its addresses, which may move. */
export function databasePlace(network: Network, host: string, address: string): ServerPlace {
  const namespace = network.namespaceOf(host);
  return { listen: network.isReal ? '*' : network.placed(address), port: PORT, namespace };
}

/** A server as docs/POSTGRESQL.md wants it: its roles, its empty schema, and no client without TLS. */
export async function startSecuredDatabase(
  place: ServerPlace,
  { certificate, key }: KeyedCertificate,
): Promise<PostgresServer> {
  const server = await PostgresServer.start({ place });
  server.install('server.crt', certificate);
  server.install('server.key', key);
  server.install('pg_hba.conf', SECURED_HBA);
  server.sql('ALTER SYSTEM SET ssl = on');
  server.sql('SELECT pg_reload_conf()');
  await until('TLS of the database', () => server.sql('SHOW ssl')[0] === 'on');
  server.sql(manualSql('roles'));
  server.sql(manualSql('schema'), 'kom');
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
