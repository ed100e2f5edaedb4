import { z } from 'zod';
import { address, plainName, size, strict } from './schema-parts.ts';

export const RING_DIRECTORY = './data/kernel-ring';
export const RING_CAPACITY = '8GB';

/** `redundancy` of the Kernel file: the other Kernels, and how they work together. */
export const kernelGroupSchema = strict({
  name: plainName.describe('Name of this Kernel, as in its certificate and in the files of the others.'),
  archive: z
    .enum(['each', 'shared'])
    .default('each')
    .describe(
      'each: every Kernel has an archive of its own, and the hot one hands everything on. shared: all of ' +
        'them have one schema of one PostgreSQL database, and who has the lock there is hot.',
    ),
  kernels: z
    .array(
      strict({
        name: plainName.describe('Its name.'),
        addresses: z
          .array(address('Where it listens; port 3119 if left out.', 3119))
          .min(1)
          .max(8)
          .describe('Its addresses, the preferred one first.'),
        insecure: z.boolean().default(false).describe('The link may leave this machine without TLS.'),
      }),
    )
    .min(1)
    .max(15)
    .optional()
    .describe(
      'The other Kernels, where each has an archive of its own: the same file, with its own name and the ' +
        'others here. Those that share a database find each other there.',
    ),
  firstRole: z
    .enum(['hot', 'standby'])
    .optional()
    .describe(
      'What it is when it starts for the first time and no other Kernel says who is hot. Default: standby. ' +
        'Not for a shared archive: the first one there is hot.',
    ),
  ackPolicy: z
    .enum(['in-sync', 'hot'])
    .optional()
    .describe(
      'Values are acknowledged when all Kernels of the in-sync set have them, or when the hot one has. ' +
        'Default: in-sync. Not for a shared archive, which has them or not.',
    ),
  ring: strict({
    directory: z
      .string()
      .min(1)
      .default(RING_DIRECTORY)
      .describe('Directory of the forwarding ring, relative to the Kernel file.'),
    capacity: size('How much of what came last is kept for Kernels that are away.', {
      min: 10e6,
      max: 16e12,
    }).default(RING_CAPACITY),
  })
    .optional()
    .describe(
      'What other Kernels are given when they come back. Not for a shared archive: nothing is handed on.',
    ),
});
