import { existsSync } from 'node:fs';
import { loadKernelConfig } from '../config/load.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import type { Presence } from '../domain/timeline.ts';
import { openArchive } from '../kernel/archive/open.ts';
import { type ArchiveQueries, archiveQueries } from '../kernel/archive/query.ts';
import { remoteQueries } from '../kernel/queries.ts';
import { callControl } from '../ops/control.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import type { ArchiveSource } from './archive-access.ts';
import { realWorld } from './world.ts';

/** Reaches the running Kernel, or opens its archive here when none runs. */
export async function openArchiveQueries(source: ArchiveSource): Promise<ArchiveQueries & AsyncDisposable> {
  if (source.socket !== undefined) return overSocket(source.socket);
  const file = source.kernel ?? 'kernel.json';
  const { config } = await loadKernelConfig(file, { secretsOptional: true });
  if (await isRunning(config.controlSocket)) return overSocket(config.controlSocket);
  const { kind, directory } = config.archive;
  if (kind === 'embedded' && !existsSync(directory)) {
    throw new KomError('KOM_NOT_RUNNING', config.controlSocket, {
      hint: `and there is no archive in ${directory} yet`,
    });
  }
  const { log, clock } = realWorld({ level: 'error', name: 'kom' });
  // Now the secrets are needed.
  const { archive: place } = (await loadKernelConfig(file)).config;
  const archive = await openArchive(place, { log, clock, readOnly: true });
  const nobody = (): Presence => ({
    producedTo: {},
    heldFromUs: {},
    nowUs: clock.wallUs(),
  });
  return { ...archiveQueries(archive, nobody), [Symbol.asyncDispose]: () => archive.close() };
}

function overSocket(path: string): ArchiveQueries & AsyncDisposable {
  const transport = createTcpTransport();
  const queries = remoteQueries((method, params) => callControl({ transport, path, method, params }));
  return { ...queries, async [Symbol.asyncDispose]() {} };
}

async function isRunning(path: string): Promise<boolean> {
  try {
    for await (const _ of callControl({ transport: createTcpTransport(), path, method: 'status' }))
      return true;
    return true;
  } catch (error) {
    if (isKomError(error, 'KOM_NOT_RUNNING')) return false;
    throw error;
  }
}
