import { resolve } from 'node:path';
import { parseSizeBytes } from '../domain/units.ts';
import type { LinkScope } from './links.ts';
import type { KernelGroupSettings, OtherKernel } from './model/kernel.ts';
import type { KernelInput } from './schema.ts';
import { parseAddress } from './schema-parts.ts';
import { checkLink } from './tls.ts';

/** The settings of a group, or `undefined` where the file names no other Kernels. */
export function makeKernelGroup(
  input: KernelInput,
  directory: string,
  { problems, warnings }: LinkScope,
): KernelGroupSettings | undefined {
  const { redundancy } = input;
  if (redundancy === undefined) return undefined;
  const path = ['redundancy', 'kernels'];
  const taken = new Set([redundancy.name]);
  const kernels = redundancy.kernels.map(({ name, addresses, insecure }, position): OtherKernel => {
    if (taken.has(name))
      problems.add([...path, position, 'name'], 'another Kernel has this name', { got: name });
    taken.add(name);
    const parsed = addresses.flatMap((text, at) => {
      const parts = parseAddress(text, 3119);
      if (parts === null) return [];
      const link = { address: text, host: parts.host, insecure, hasTls: input.tls !== undefined };
      checkLink(link, [...path, position, 'addresses', at], { problems, warnings });
      return [parts];
    });
    return { name, addresses: parsed, insecure };
  });
  const { name, firstRole, ackPolicy, ring } = redundancy;
  return {
    ...{ name, kernels, firstRole, ackPolicy },
    ring: {
      directory: resolve(directory, ring.directory),
      capacityBytes: parseSizeBytes(ring.capacity) ?? 0,
    },
  };
}
