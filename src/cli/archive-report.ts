import type { KernelConfig } from '../config/model/kernel.ts';
import { formatSize } from '../domain/units.ts';
import { FAILOVER_FINDING } from '../kernel/archive/postgres/durability.ts';
import { formatAddress } from '../world/transport.ts';

const DAY_MS = 86_400_000;

/** What `kom check` says of the archive of a Kernel. */
export function* archiveLines(archive: KernelConfig['archive']): Generator<string> {
  if (archive.kind === 'embedded') {
    yield `archive embedded in ${archive.directory}, memory ${formatSize(archive.memoryLimitBytes)}`;
    return;
  }
  const { hosts, database, schema, login, owner, tls, retentionMs } = archive;
  const places = hosts.map((host) => (host.host.startsWith('/') ? host.host : formatAddress(host)));
  yield `archive postgres: database ${database}, schema ${schema} at ${places.join(', then ')}` +
    (tls === null ? '' : ', TLS');
  const maker = owner === null ? 'which also makes the tables' : `tables made by ${owner.user}`;
  yield `  as ${login.user}, ${maker}`;
  yield retentionMs === null
    ? '  nothing is ever dropped'
    : `  months older than ${Math.floor(retentionMs / DAY_MS)} d are dropped`;
}

/** What a person should know who has only the file; the Kernel asks the server when it starts. */
export function archiveWarnings(archive: KernelConfig['archive']): string[] {
  if (archive.kind === 'embedded' || archive.hosts.length < 2) return [];
  return [`if ${FAILOVER_FINDING}; the Kernel looks at the server's settings when it starts`];
}
