import { KomError } from '../domain/errors.ts';
import type { Presence as SitePresence } from '../domain/timeline.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { Archive, ExportQuery } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { CompletenessQuery } from './archive/completeness.ts';
import { type ArchiveQueries, archiveQueries, type TagQuery } from './archive/query.ts';
import type { KernelServer } from './server.ts';

/** What the live sessions of a process say about what they still hold. */
export function presenceOf(server: KernelServer, clock: Clock) {
  return (site: string, process: string): SitePresence => {
    const producedTo: Record<string, number> = {};
    const heldFromUs: Record<number, number> = {};
    const observedUntilUs: Record<number, number> = {};
    for (const { instance, status, standbyUs } of server.presence.of(site, process).instances()) {
      if (status.isConnected && standbyUs !== null) observedUntilUs[instance] = standbyUs;
      for (const stream of status.isConnected ? status.streams : []) {
        const { streamId, ownerInstance: owner = instance } = stream;
        producedTo[streamId] = Math.max(producedTo[streamId] ?? 0, stream.producedTo);
        if (stream.heldFromUs > 0) {
          heldFromUs[owner] = Math.min(heldFromUs[owner] ?? stream.heldFromUs, stream.heldFromUs);
        }
      }
    }
    return { producedTo, heldFromUs, observedUntilUs, nowUs: clock.wallUs() };
  };
}

/** Methods of the Kernel's control socket that ask the archive: `query`, `stat`, `tags`,
 * `completeness`, `late`, `export`. */
export function queryHandlers(
  archive: Archive,
  server: KernelServer,
  clock: Clock,
): Readonly<Record<string, ControlHandler>> {
  const queries = archiveQueries(archive, presenceOf(server, clock));
  return {
    query: async function* (params) {
      // How far the streams are observed is durable only now and then; an answer wants the newest.
      await server.storeObserved();
      yield* queries.query(tagQuery(params));
    },
    stat: async function* () {
      const coverageOf = (streamId: string) => archive.coverage(streamId);
      const unresolved = server.presence.all().map((process) => process.unresolved(coverageOf));
      yield { ...(await queries.stat()), unresolved: (await Promise.all(unresolved)).flat() };
    },
    tags: async function* ({ site }) {
      yield* await queries.tags(typeof site === 'string' ? site : undefined);
    },
    completeness: async function* (params) {
      await server.storeObserved();
      yield* queries.completeness(siteInterval(params));
    },
    late: async function* (params) {
      yield* await queries.late(siteInterval(params));
    },
    export: async function* (params) {
      yield await queries.export(exportQuery(params));
    },
  };
}

/** Queries that a running Kernel answers over its control socket. */
export function remoteQueries(
  call: (method: string, params: Readonly<Record<string, unknown>>) => AsyncIterable<unknown>,
): ArchiveQueries {
  const all = async <T>(method: string, params: Readonly<Record<string, unknown>>): Promise<T[]> => {
    const items: T[] = [];
    for await (const item of call(method, params)) items.push(item as T);
    return items;
  };
  return {
    query: (query) => call('query', { ...query }) as ReturnType<ArchiveQueries['query']>,
    stat: async () => {
      const [stat] = await all<Awaited<ReturnType<ArchiveQueries['stat']>>>('stat', {});
      if (stat === undefined) throw new KomError('KOM_CONNECTION_LOST', 'the Kernel answered nothing');
      return stat;
    },
    tags: (site) => all('tags', site === undefined ? {} : { site }),
    completeness: (query) => call('completeness', { ...query }) as ReturnType<ArchiveQueries['completeness']>,
    late: (query) => all('late', { ...query }),
    export: async (query) => {
      const [rows] = await all<number>('export', { ...query });
      return rows ?? 0;
    },
  };
}

function tagQuery(params: Readonly<Record<string, unknown>>): TagQuery {
  const { site, tag, fromUs, toUs } = params;
  if (typeof tag !== 'string' || !isTime(fromUs) || !isTime(toUs) || fromUs >= toUs) {
    throw new KomError('KOM_USAGE', 'a query names a tag and an interval that is not empty');
  }
  const withMarked = params['withMarked'] === true;
  return { ...(typeof site === 'string' ? { site } : {}), tag, fromUs, toUs, withMarked };
}

function siteInterval({ site, fromUs, toUs }: Readonly<Record<string, unknown>>): CompletenessQuery {
  if (!isTime(fromUs) || !isTime(toUs) || fromUs >= toUs) {
    throw new KomError('KOM_USAGE', 'the question names an interval that is not empty');
  }
  return typeof site === 'string' ? { site, fromUs, toUs } : { fromUs, toUs };
}

function exportQuery(params: Readonly<Record<string, unknown>>): ExportQuery {
  const { format, path, tags } = params;
  const isNamed = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string');
  if ((format !== 'csv' && format !== 'parquet') || typeof path !== 'string' || !isNamed) {
    throw new KomError('KOM_USAGE', 'an export names a format, a file and tags');
  }
  return { ...siteInterval(params), format, path, tags, withMarked: params['withMarked'] === true };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}
