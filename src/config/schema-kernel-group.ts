import { z } from 'zod';
import { address, plainName, size, strict } from './schema-parts.ts';

/** `redundancy` of the Kernel file: the other Kernels, and how they work together. */
export const kernelGroupSchema = strict({
  name: plainName.describe('Name of this Kernel, as in its certificate and in the files of the others.'),
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
    .describe('The other Kernels. Each one has the same file, with its own name and the others here.'),
  firstRole: z
    .enum(['hot', 'standby'])
    .default('standby')
    .describe('What it is when it starts for the first time and no other Kernel says who is hot.'),
  ackPolicy: z
    .enum(['in-sync', 'hot'])
    .default('in-sync')
    .describe(
      'Values are acknowledged when all Kernels of the in-sync set have them, or when the hot one has.',
    ),
  ring: strict({
    directory: z
      .string()
      .min(1)
      .default('./data/kernel-ring')
      .describe('Directory of the forwarding ring, relative to the Kernel file.'),
    capacity: size('How much of what came last is kept for Kernels that are away.', { min: 10e6 }).default(
      '8GB',
    ),
  })
    .prefault({})
    .describe('What other Kernels are given when they come back.'),
});
