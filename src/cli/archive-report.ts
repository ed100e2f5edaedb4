import type { KernelConfig } from '../config/model/kernel.ts';
import { formatSize } from '../domain/units.ts';
import { FAILOVER_FINDING } from '../kernel/archive/postgres/durability.ts';
import { formatAddress } from '../world/transport.ts';

const DAY_MS = 86_400_000;

/** What `kom check` says of the archive of a Kernel. */
export function* archiveLines(archive: KernelConfig['archive']): Generator<string> {
  if (archive.kind === 'embedded') {
    yield `archive embedded in ${archive.directory}, memory ${formatSize(archive.memoryLimitBytes)}`;
    yield retentionLine(archive);
    return;
  }
  const { hosts, database, schema, login, owner, tls } = archive;
  const places = hosts.map((host) => (host.host.startsWith('/') ? host.host : formatAddress(host)));
  yield `archive postgres: database ${database}, schema ${schema} at ${places.join(', then ')}` +
    (tls === null ? '' : ', TLS');
  const maker = owner === null ? 'which also makes the tables' : `tables made by ${owner.user}`;
  yield `  as ${login.user}, ${maker}`;
  yield retentionLine(archive);
}

function retentionLine({ retentionMs }: Pick<KernelConfig['archive'], 'retentionMs'>): string {
  return retentionMs === null
    ? '  nothing is ever dropped'
    : `  months older than ${Math.floor(retentionMs / DAY_MS)} d are dropped`;
}

/** What a person should know who has only the file; the Kernel asks the server when it starts. */
export function archiveWarnings(archive: KernelConfig['archive']): string[] {
  if (archive.kind === 'embedded' || archive.hosts.length < 2) return [];
  return [`if ${FAILOVER_FINDING}; the Kernel looks at the server's settings when it starts`];
}

/** What `kom check` says of the Kernels that one is not alone with. */
export function* kernelsLines({ redundancy, sharing }: KernelConfig): Generator<string> {
  if (redundancy !== undefined) {
    const { name, kernels, ackPolicy, firstRole, ring } = redundancy;
    const others = kernels.map((kernel) => kernel.name).join(', ');
    yield `${name}, with ${others}: each has an archive of its own, and an operator says who is hot`;
    yield ackPolicy === 'hot'
      ? '  values are acknowledged when the hot one has them'
      : '  values are acknowledged when all of the in-sync set have them';
    yield `  at a first start, before there is a reign, it is ${firstRole}`;
    yield `  forwarding ring of ${formatSize(ring.capacityBytes)} in ${ring.directory}`;
  }
  if (sharing === undefined) return;
  yield `${sharing.name}, with whoever else shares this schema: who has the lock in the database is hot`;
  yield '  another one takes over by itself, within 3 s of a kill and 10 s of a cut cable';
  yield '  while the database is away nobody is hot, and agents keep their values';
}
