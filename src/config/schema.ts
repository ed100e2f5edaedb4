import { z } from 'zod';
import { CLOCK_MODES } from '../domain/clock-discipline.ts';
import { COMMAND_NAMES, COMMANDS_ALLOWED_BY_DEFAULT } from '../domain/commands.ts';
import { isIpRange } from '../domain/ip-range.ts';
import { archiveSchema } from './archive.ts';
import { kernelGroupSchema } from './schema-kernel-group.ts';
import { linesSchema } from './schema-line.ts';
import { address, byteRate, duration, plainName, size, strict } from './schema-parts.ts';
import { processRedundancyShape, serverPeerSchema, sitePeerSchema } from './schema-redundancy.ts';
import { tagDefaultsShape, templateSchema } from './schema-tag.ts';
import { kernelTlsSchema, serverTlsSchema, siteTlsSchema } from './tls.ts';

const schemaKey = z.string().optional().describe('JSON Schema of this file, for the editor.');

const serverSchema = strict({
  instance: z.int().min(1).max(15).describe('Number of the instances that this server runs, 1 to 15.'),
  data: z.string().min(1).default('./data').describe('Data directory, relative to the site file.'),
  controlSocket: z
    .string()
    .min(1)
    .optional()
    .describe('Control socket. Without it: kom.sock in the data directory.'),
  localAddress: z
    .string()
    .min(1)
    .optional()
    .describe("Local address that connections leave from. Without it: the system's choice."),
  serial: z
    .record(z.string(), z.string().min(1))
    .optional()
    .describe('Serial device by name of line, where it differs on this server.'),
  peer: serverPeerSchema,
  tls: serverTlsSchema.describe('Files of this server that lie elsewhere than in its folder.'),
  flash: strict({
    tbw: size('Bytes that the flash can take in its life, from its data sheet.', { min: 1e9 }),
  })
    .optional()
    .describe('Flash of this server, for the years that kom check prints.'),
});

const bufferSchema = strict({
  store: z
    .enum(['on-outage', 'always'])
    .default('on-outage')
    .describe('on-outage spares the flash; always makes every block durable before it is sent.'),
  capacity: size('Bound on the bytes on disk of each instance; at most a quarter more for a moment.', {
    min: 32e6,
  }).default('1GB'),
  whenFull: z
    .enum(['drop-oldest', 'refuse-newest'])
    .default('drop-oldest')
    .describe('What a full ring loses; it becomes a gap record either way.'),
  maxAgeUnacked: duration(
    'What no Kernel has acknowledged for longer goes, as a gap record. Time counts while the agent runs ' +
      'and knows the time; a whole segment goes at once, when the newest of it is that old. Without it: ' +
      'only room counts.',
    { min: 60_000 },
  ).optional(),
  maxAgeAcknowledged: duration(
    'With "store": "always", what a Kernel has acknowledged is kept until its room is needed, or for so ' +
      'long. Counted as maxAgeUnacked.',
    { min: 60_000 },
  ).optional(),
  alarmShare: z
    .number()
    .min(0)
    .max(0.5)
    .default(0)
    .describe(
      'Share of capacity and window that tags of class alarm have for themselves, in a store of their own, ' +
        'so that no measurement can push them out; 0.1 is a tenth. 0: one store for all tags.',
    ),
  freeDiskFloor: size('Storing stops before the file system has less free than this.').default('200MB'),
  powerCutLossMax: z
    .enum(['1s', '10s', '60s'])
    .default('1s')
    .describe('What a power cut may lose at most; sets block age, spill age and alive mark.'),
  profile: z
    .enum(['standard', 'small'])
    .default('standard')
    .describe('small: ring and window within 24 MB of memory, for boxes of 256 MB.'),
  window: size('Bound on un-acknowledged blocks in memory. Default: 16MB, with the profile small 4MB.', {
    min: 1e6,
    max: 1e9,
  }).optional(),
});

const insecureListener = z
  .boolean()
  .default(false)
  .describe('The listener may be reached from other machines without TLS.');

const listenSchema = strict({
  address: address('Where the Kernel connects to this instance; port 3119 if left out.', 3119),
  servers: z
    .record(z.string(), address('Address to listen on.', 3119))
    .default({})
    .describe('Address by name of server, where it differs.'),
  allowFrom: z
    .array(
      z.string().refine((text) => isIpRange(text), {
        error: 'an address or a network, such as "10.1.2.3", "10.1.0.0/16", "fd00::/8"',
      }),
    )
    .max(32)
    .default([])
    .describe('Addresses and networks that connections are taken from. Empty: any.'),
  insecure: insecureListener,
});

const uplinkSchema = strict({
  link: z
    .enum(['wired', 'radio'])
    .default('wired')
    .describe('radio: patient defaults, for links of 64 kbit/s and less.'),
  heartbeat: duration('Heartbeat to the Kernel. Default: 400ms, with the link radio 2s.', {
    min: 50,
    max: 60_000,
  }).optional(),
  silenceMax: duration(
    'Silence of the other side that counts as an outage; it is noticed a twelfth later at most. ' +
      'Default: 1200ms, with the link radio 10s.',
    { min: 100, max: 600_000 },
  ).optional(),
  connectTimeout: duration('Time for opening the connection. Default: 5s, with the link radio 20s.', {
    min: 100,
  }).optional(),
  stableAfter: duration('A session that lasts this long ends back-off and hysteresis.').default('10s'),
  holdMax: duration('Longest time for which a flapping link must hold before it counts.').default('30s'),
  probeInterval: duration('How often better Kernel addresses are asked meanwhile.', { min: 100 }).default(
    '5s',
  ),
  returnAfter: duration('A better Kernel address must answer for this long before it is used again.').default(
    '30s',
  ),
  minRate: byteRate('Below this rate of the catch-up live values give way. 0B/s: never.').default('0B/s'),
  maxRate: byteRate('The catch-up takes at most this of the link. Without it: what there is.', {
    min: 1000,
  }).optional(),
  listen: listenSchema
    .optional()
    .describe('The Kernel dials this instance, and it opens no connection to any Kernel.'),
  reconnectDelayMin: duration('First pause before connecting again.').default('250ms'),
  reconnectDelayMax: duration('Longest pause; pauses grow up to here, with jitter.').default('5s'),
  leaseRenew: duration(
    'How often an instance of a process with several asks its Kernel for the lease. ' +
      'Default: 300ms, with the link radio 2s.',
    { min: 50, max: 60_000 },
  ).optional(),
  lease: duration(
    'How long a lease of the Kernel holds when it is not renewed. Default: 1200ms, with the link radio 10s.',
    { min: 500, max: 60_000 },
  ).optional(),
  liveInterval: duration('How often a changed live value is sent while the backlog drains.', {
    min: 50,
  }).default('250ms'),
});

const processSchema = strict({
  servers: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('Servers that run an instance of it. Without it: all.'),
  buffer: bufferSchema.prefault({}).describe('How samples are kept.'),
  uplink: uplinkSchema.prefault({}).describe('How the Kernel is talked to.'),
  ...processRedundancyShape,
  lines: linesSchema.describe('Lines by name.'),
});

/** The site file. */
export const siteSchema = strict({
  $schema: schemaKey,
  site: z
    .string()
    .regex(/^[\p{L}\p{N}_](?:[\p{L}\p{N}_.\- ]{0,62}[\p{L}\p{N}_])?$/u, {
      error: 'a name of letters, digits and . _ - or spaces inside, at most 64 characters',
    })
    .describe('Name of the site.'),
  include: z
    .array(z.string().min(1))
    .max(100)
    .default([])
    .describe('Files, with * and **, whose keys are merged into this one; relative to this file.'),
  kernels: z
    .array(
      strict({
        address: address('Address of a Kernel; port 3119 if left out.', 3119),
        insecure: z.boolean().default(false).describe('The link may leave this machine without TLS.'),
        localAddress: z
          .record(z.string(), z.string().min(1))
          .default({})
          .describe("Local address of this path by name of server. Without it: the server's."),
      }),
    )
    .max(8)
    .describe('Addresses of Kernels, the preferred one first.'),
  clock: z
    .enum(CLOCK_MODES)
    .default('system')
    .describe(
      'Whose time is stamped: the clock of the comm server (kept right by NTP), or that of the Kernel, ' +
        'which comes with every heartbeat.',
    ),
  tls: siteTlsSchema.describe('TLS 1.3 with certificates of both sides, on every link that is not insecure.'),
  servers: z.record(plainName, serverSchema).describe('Comm servers by name.'),
  peer: sitePeerSchema,
  commands: strict({
    allow: z
      .array(z.enum(COMMAND_NAMES))
      .default([...COMMANDS_ALLOWED_BY_DEFAULT])
      .describe('Commands that are carried out; all others are refused. None of them writes to a device.'),
  })
    .prefault({})
    .describe('What operators may ask of the agents.'),
  nameTemplate: z
    .string()
    .min(1)
    .default('{station}.{tag}')
    .describe('How full tag names are made, from {site}, {process}, {line}, {station} and {tag}.'),
  defaults: strict(tagDefaultsShape).prefault({}).describe('Values for all tags.'),
  templates: z.record(plainName, templateSchema).default({}).describe('Templates of stations by name.'),
  processes: z.record(plainName, processSchema).describe('Processes by name.'),
});
export type SiteInput = z.infer<typeof siteSchema>;
export type ProcessInput = z.infer<typeof processSchema>;
export type ServerInput = z.infer<typeof serverSchema>;

/** The Kernel file. */
export const kernelSchema = strict({
  $schema: schemaKey,
  listen: address('Where agents connect; port 3119 if left out.', 3119).default('127.0.0.1:3119'),
  insecure: insecureListener,
  tls: kernelTlsSchema.describe(
    'TLS 1.3 with certificates of both sides, on every link that is not insecure.',
  ),
  accept: z
    .array(z.string().min(1))
    .max(1000)
    .optional()
    .describe(
      'Sites ("Plant") and processes ("Plant/KomA") that are welcome. Without it: all that are certified.',
    ),
  agents: z
    .array(
      strict({
        site: z.string().min(1).describe('Name of the site that answers there.'),
        process: z.string().min(1).describe('Name of the process that answers there.'),
        instance: z.int().min(1).max(15).optional().describe('Its instance. Without it: any.'),
        addresses: z
          .array(address('Where it listens; port 3119 if left out.', 3119))
          .min(1)
          .max(8)
          .describe('Its addresses, the preferred one first.'),
        localAddress: z.string().min(1).optional().describe('Local address that connections leave from.'),
        retry: duration('Pause between two tries of an address at most.', { min: 100 }).default('2s'),
        connectTimeout: duration('Time for opening the connection.', { min: 100 }).default('5s'),
        insecure: z.boolean().default(false).describe('The link may leave this machine without TLS.'),
      }),
    )
    .max(1000)
    .default([])
    .describe('Agents that this Kernel dials, because they open no connection themselves.'),
  archive: archiveSchema.prefault({}).describe('The archive.'),
  redundancy: kernelGroupSchema
    .optional()
    .describe('Other Kernels, and whose the archive is. Without it: this is the only one.'),
  controlSocket: z
    .string()
    .min(1)
    .optional()
    .describe('Control socket. Without it: kom-kernel.sock in the directory of the archive.'),
});
export type KernelInput = z.infer<typeof kernelSchema>;
