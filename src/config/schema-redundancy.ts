import { z } from 'zod';
import { address, duration, strict } from './schema-parts.ts';

/** Port of the peer link. */
export const PEER_PORT = 3120;

const peerAddress = z.union([
  address('Address at which the other servers reach this one; port 3120 if left out.', PEER_PORT),
  strict({
    address: address('Address at which the other servers reach this one.', PEER_PORT),
    listen: address(
      'Address to listen on, where it is another one. Without it: the same.',
      PEER_PORT,
    ).optional(),
    insecure: z.boolean().optional().describe('This path may leave the machine without TLS.'),
  }),
]);

/** `peer` of a server. */
export const serverPeerSchema = z
  .array(peerAddress)
  .min(1)
  .max(4)
  .optional()
  .describe('Addresses at which the other comm servers reach this one, one for each network between them.');

/** `peer` of a site. */
export const sitePeerSchema = strict({
  timeout: duration(
    'A standby takes over when its peer was silent on all networks for so long and no Kernel decides. ' +
      'Default: 1s, for a process with the profile small 3s.',
    { min: 200, max: 60_000 },
  ).optional(),
  heartbeat: duration('How often the instances tell each other how they are.', {
    min: 50,
    max: 10_000,
  }).default('250ms'),
  insecure: z.boolean().default(false).describe('Peer links may leave the machine without TLS.'),
})
  .prefault({})
  .describe('The link between the comm servers, over which their instances watch each other.');

/** Keys of a process that several servers run. */
export const processRedundancyShape = {
  preferredInstance: z
    .int()
    .min(1)
    .max(15)
    .optional()
    .describe('The instance that is active when both could be. Without it: whichever is.'),
  preferHoldOff: duration(
    'The preferred instance must have been connected and fit for so long before it is made active again.',
    { max: 86_400_000 },
  ).default('10s'),
  fitness: strict({
    interval: duration('How often a standby proves that it could take over.', { min: 10_000 }).default('1h'),
    maxAge: duration('A proof that is older is an alarm.', { min: 10_000 }).default('24h'),
  })
    .prefault({})
    .describe('How the standby shows that it could take over.'),
  mirror: z
    .boolean()
    .default(true)
    .describe(
      'The peer holds a copy of what the Kernel does not have yet, and delivers it where this one cannot.',
    ),
};

const exclusive = (isDefault: boolean) =>
  z
    .boolean()
    .default(isDefault)
    .describe('The line takes one client: a standby that is not active stays away from it.');

const lineShape = {
  onIsolation: z
    .enum(['release', 'keep'])
    .optional()
    .describe(
      'What the active instance does with an exclusive line while it hears neither a Kernel nor its peer. ' +
        'Without it: release.',
    ),
  fitness: z
    .boolean()
    .default(true)
    .describe('A standby may open the line now and then to prove that it can.'),
};

const standby = <Mode extends string>(modes: readonly [Mode, ...Mode[]], description: string) =>
  z.enum(modes).optional().describe(description);

/** Keys of a line of Modbus TCP. */
export const tcpFailoverShape = {
  standby: standby(
    ['cold', 'warm', 'hot'],
    'What a standby does: nothing, keep the connection open, or poll. ' +
      'Without it: hot with doublePolling, else cold.',
  ),
  doublePolling: z
    .boolean()
    .default(false)
    .describe('The devices may be polled by two instances at once, so a standby is hot.'),
  exclusive: exclusive(false),
  ...lineShape,
};

/** Keys of a serial bus, which has one client. */
export const serialFailoverShape = {
  standby: standby(['cold', 'warm', 'hot'], 'What a standby does. Without it: cold.'),
  exclusive: exclusive(true),
  ...lineShape,
};

/** Keys of a line of OPC UA. */
export const opcuaFailoverShape = {
  standby: standby(
    ['cold', 'warm'],
    'What a standby does: nothing, or hold a session whose queues bridge the failover. ' +
      'Without it: warm, where the line is not exclusive.',
  ),
  exclusive: exclusive(false),
  ...lineShape,
};
