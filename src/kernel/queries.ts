import { KomError } from '../domain/errors.ts';
import type { Presence as SitePresence } from '../domain/timeline.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import { type ArchiveQueries, archiveQueries, type TagQuery } from './archive/query.ts';
import type { KernelServer } from './server.ts';

/** What the live session of a process says about what it still holds. */
export function presenceOf(server: KernelServer, clock: Clock) {
  return (site: string, process: string): SitePresence => {
    const { isConnected, streams } = server.presence.of(site, process).status;
    const heldFrom = streams.map(({ heldFromUs }) => heldFromUs).filter((timeUs) => timeUs > 0);
    return {
      connected: isConnected,
      producedTo: Object.fromEntries(streams.map(({ streamId, producedTo }) => [streamId, producedTo])),
      heldFromUs: heldFrom.length === 0 ? null : Math.min(...heldFrom),
      nowUs: clock.wallUs(),
    };
  };
}

/** Methods of the Kernel's control socket that ask the archive: `query`, `stat`, `tags`. */
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
      yield await queries.stat();
    },
    tags: async function* ({ site }) {
      yield* await queries.tags(typeof site === 'string' ? site : undefined);
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
  };
}

function tagQuery({ site, tag, fromUs, toUs }: Readonly<Record<string, unknown>>): TagQuery {
  if (typeof tag !== 'string' || !isTime(fromUs) || !isTime(toUs) || fromUs >= toUs) {
    throw new KomError('KOM_USAGE', 'a query names a tag and an interval that is not empty');
  }
  return typeof site === 'string' ? { site, tag, fromUs, toUs } : { tag, fromUs, toUs };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}
