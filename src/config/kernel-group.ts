import { resolve } from 'node:path';
import { parseSizeBytes } from '../domain/units.ts';
import { formatAddress } from '../world/transport.ts';
import type { LinkScope } from './links.ts';
import type { KernelGroupSettings, OtherKernel, SharedGroupSettings } from './model/kernel.ts';
import type { KernelInput } from './schema.ts';
import { RING_CAPACITY, RING_DIRECTORY } from './schema-kernel-group.ts';
import { parseAddress } from './schema-parts.ts';
import { checkLink } from './tls.ts';

/** The settings of a group, or `undefined` where the file names no other Kernels. */
export function makeKernelGroup(
  input: KernelInput,
  directory: string,
  { problems, warnings }: LinkScope,
): KernelGroupSettings | undefined {
  const { redundancy } = input;
  if (redundancy === undefined || redundancy.archive === 'shared') return undefined;
  const path = ['redundancy', 'kernels'];
  const taken = new Set<string>();
  const places = new Map([[placeOf(input.listen), redundancy.name]]);
  const kernels = (redundancy.kernels ?? []).map(({ name, addresses, insecure }, position): OtherKernel => {
    if (name === redundancy.name || taken.has(name)) {
      const what = name === redundancy.name ? 'is this Kernel itself' : 'another Kernel has this name';
      problems.add([...path, position, 'name'], what, { got: name });
    }
    taken.add(name);
    const parsed = addresses.flatMap((text, at) => {
      const parts = parseAddress(text, 3119);
      if (parts === null) return [];
      const whose = places.get(placeOf(text)) ?? name;
      if (whose !== name) {
        problems.add([...path, position, 'addresses', at], `is where ${whose} listens`, { got: text });
      }
      places.set(placeOf(text), whose);
      const link = { address: text, host: parts.host, insecure, hasTls: input.tls !== undefined };
      checkLink(link, [...path, position, 'addresses', at], { problems, warnings });
      return [parts];
    });
    return { name, addresses: parsed, insecure };
  });
  if (redundancy.kernels === undefined) problems.add(path, 'is needed', { expected: 'the other Kernels' });
  const { name, firstRole = 'standby', ackPolicy = 'in-sync' } = redundancy;
  const { ring = { directory: RING_DIRECTORY, capacity: RING_CAPACITY } } = redundancy;
  if (resolve(directory, ring.directory) === resolve(directory, input.archive.directory)) {
    problems.add(['redundancy', 'ring', 'directory'], 'is that of the archive', {
      got: ring.directory,
      expected: 'a directory of its own',
    });
  }
  return {
    ...{ name, kernels, firstRole, ackPolicy },
    ring: {
      directory: resolve(directory, ring.directory),
      capacityBytes: parseSizeBytes(ring.capacity) ?? 0,
    },
  };
}

/** An address with its port, however it is written. */
function placeOf(text: string): string {
  const parts = parseAddress(text, 3119);
  return parts === null ? text : formatAddress(parts);
}

/** Keys that say nothing about Kernels with one archive, and why. */
const OF_EACH = {
  kernels: 'they find each other in the database',
  firstRole: 'who has the lock in the database is hot',
  ackPolicy: 'what is in the archive is in that of all of them',
  ring: 'nothing is handed on from one to the other',
} as const;

/** The settings of Kernels that share an archive, or `undefined` where these do not. */
export function makeSharing(
  { redundancy, archive }: KernelInput,
  { problems }: Pick<LinkScope, 'problems'>,
): SharedGroupSettings | undefined {
  if (redundancy?.archive !== 'shared') return undefined;
  if (archive.kind !== 'postgres') {
    problems.add(['redundancy', 'archive'], 'only a PostgreSQL database can be shared', {
      expected: '"archive": {"kind": "postgres"}, or "each" here',
    });
  }
  for (const [key, why] of Object.entries(OF_EACH)) {
    if (redundancy[key as keyof typeof OF_EACH] === undefined) continue;
    problems.add(['redundancy', key], `is for Kernels that have an archive each: ${why}`);
  }
  return { name: redundancy.name };
}
