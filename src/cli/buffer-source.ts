import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BufferListItem, NamedStore, RecordsItem } from '../agent/buffer-handlers.ts';
import type { ClassStoreStatus } from '../agent/class-store.ts';
import type { RingFacts, RingInspection } from '../buffer/facts.ts';
import { inspectRing } from '../buffer/inspect.ts';
import type { ReplayRequest } from '../buffer/replays.ts';
import { loadSite } from '../config/load.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import { callControl } from '../ops/control.ts';
import { openLevelDisk } from '../world/real/level-disk.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import type { Disk } from '../world/store.ts';
import { chooseServer } from './run.ts';

export interface BufferSource {
  readonly config?: string;
  readonly server?: string;
  readonly process?: string;
  readonly socket?: string;
  readonly dir?: string;
}

/** One ring to look at. */
export interface BufferView {
  /** `KomA`, `KomA alarms`, or the directory. */
  readonly name: string;
  readonly inspection: RingInspection;
  /** What the running agent says; `null` at rest. */
  readonly status: ClassStoreStatus | null;
  /** `null` where only a directory is known. */
  readonly capacityBytes: number | null;
  /** Bytes on disk of meta and segments; `null` while an agent has them. */
  readonly diskBytes: number | null;
  /** @throws KomError KOM_NOT_RUNNING, KOM_USAGE */
  replay(request: ReplayRequest): Promise<void>;
}

/**
 * The rings that are meant, one after the other: through the running agent, or opened here when none runs; at
 * rest only one is open at a time. @throws KomError KOM_USAGE, KOM_STORE_LOCKED, KOM_STORE_OPEN
 */
export async function* openBuffers(source: BufferSource): AsyncGenerator<BufferView> {
  checkSource(source);
  if (source.dir !== undefined)
    return yield* atRest({ name: source.dir, directory: source.dir, capacityBytes: null });
  if (source.socket !== undefined) return yield* running(source.socket, source.process);
  if (source.config === undefined) {
    throw new KomError('KOM_USAGE', 'which buffer?', { expected: '--config, --socket or --dir' });
  }
  const { site } = await loadSite(source.config, { secretsOptional: true });
  const server = chooseServer(site, source.server);
  if (existsSync(server.controlSocket)) {
    try {
      return yield* running(server.controlSocket, source.process);
    } catch (error) {
      // A socket that nobody listens on was left by an agent that was killed.
      if (!isKomError(error, 'KOM_NOT_RUNNING')) throw error;
    }
  }
  const processes = site.processes.filter(
    ({ name, servers }) => servers.includes(server.name) && name === (source.process ?? name),
  );
  if (processes.length === 0)
    throw new KomError('KOM_USAGE', `server ${server.name} runs no ${source.process}`);
  for (const { name, buffer } of processes) {
    const directory = join(server.dataDirectory, name);
    const { capacityBytes, alarmShare } = buffer;
    const isSplit = alarmShare > 0;
    const mainBytes = isSplit ? Math.floor(capacityBytes * (1 - alarmShare)) : capacityBytes;
    yield* atRest({ name, directory, capacityBytes: mainBytes });
    if (!existsSync(`${directory}.alarm`)) continue;
    const alarmBytes = isSplit ? Math.floor(capacityBytes * alarmShare) : null;
    yield* atRest({ name: `${name} alarms`, directory: `${directory}.alarm`, capacityBytes: alarmBytes });
  }
}

/** Nothing that was said is passed over. @throws KomError KOM_USAGE */
export function checkSource({ config, socket, dir, server, process }: BufferSource): void {
  const places = [config, socket, dir].filter((place) => place !== undefined);
  if (places.length > 1) throw new KomError('KOM_USAGE', '--config, --socket and --dir exclude each other');
  if (server !== undefined && config === undefined)
    throw new KomError('KOM_USAGE', '--server goes with --config');
  if (process !== undefined && dir !== undefined) {
    throw new KomError('KOM_USAGE', '--dir is one ring, of whatever process');
  }
}

async function* atRest(ring: {
  readonly name: string;
  readonly directory: string;
  readonly capacityBytes: number | null;
}): AsyncGenerator<BufferView> {
  const directory = resolve(ring.directory);
  if (!existsSync(directory)) throw new KomError('KOM_STORE_OPEN', directory, { got: 'no such directory' });
  const disk = await openLevelDisk(directory);
  await using inspection = await inspectRing(disk).catch((error: unknown) => {
    if (!isKomError(error, 'KOM_STORE_LOCKED')) throw error;
    const hint = 'a running agent is asked with --config or --socket';
    throw new KomError('KOM_STORE_LOCKED', directory, { hint, cause: error });
  });
  yield {
    name: ring.name,
    inspection,
    status: null,
    capacityBytes: ring.capacityBytes,
    diskBytes: await diskBytes(disk),
    replay: async () => {
      throw new KomError('KOM_NOT_RUNNING', 'a replay is sent by a running agent');
    },
  };
}

async function diskBytes(disk: Disk): Promise<number> {
  let bytes = 0;
  for (const name of await disk.list()) if (name !== 'quarantine') bytes += await disk.usedBytes(name);
  return bytes;
}

async function* running(path: string, process: string | undefined): AsyncGenerator<BufferView> {
  const items = (await call(path, 'buffer.list', {})) as BufferListItem[];
  const wanted = items.filter((item) => item.process === (process ?? item.process));
  if (wanted.length === 0) throw new KomError('KOM_USAGE', `the agent runs no ${process ?? 'process'}`);
  for (const { process: name, part, status } of wanted) {
    const of = { process: name, part };
    yield {
      name: part === 'main' ? name : `${name} ${part}`,
      inspection: remoteInspection(path, of),
      status,
      capacityBytes: status.backlog.ring.capacityBytes,
      diskBytes: status.backlog.ring.diskBytes,
      replay: async (request) => {
        await call(path, 'buffer.replay', { ...of, ...request });
      },
    };
  }
}

function remoteInspection(path: string, of: Pick<NamedStore, 'process' | 'part'>): RingInspection {
  const one = async (method: string, params: object): Promise<unknown> =>
    (await call(path, method, { ...of, ...params }))[0];
  return {
    damages: [],
    facts: async () => (await one('buffer.facts', {})) as RingFacts,
    records: async (segment, after, limitBytes) => {
      const records = (await one('buffer.records', { segment, after, limitBytes })) as RecordsItem;
      return (
        records?.map(([key, value]) => ({
          key: Buffer.from(key, 'base64'),
          value: Buffer.from(value, 'base64'),
        })) ?? null
      );
    },
    dictionary: async (hash) => {
      const text = (await one('buffer.dictionary', { hash })) as string | null;
      if (text === null) throw new KomError('KOM_DICTIONARY_CORRUPT', `the ring does not hold ${hash}`);
      return decodeDictionary(hash, Buffer.from(text, 'base64'));
    },
  };
}

async function call(path: string, method: string, params: Readonly<Record<string, unknown>>) {
  const items: unknown[] = [];
  for await (const item of callControl({ transport: createTcpTransport(), path, method, params })) {
    items.push(item);
  }
  return items;
}
