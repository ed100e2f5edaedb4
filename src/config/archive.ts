import { resolve } from 'node:path';
import { z } from 'zod';
import { parseSizeBytes } from '../domain/units.ts';
import { type FileAccess, readSecret } from './files.ts';
import type { DatabaseHost, DatabaseLogin, KernelConfig, PostgresArchiveConfig } from './model/kernel.ts';
import type { JsonPath, ProblemList } from './problems.ts';
import { duration, milliseconds, parseAddress, secret, size, strict } from './schema-parts.ts';
import { checkLink } from './tls.ts';

const POSTGRES_PORT = 5432;
const DAY_MS = 86_400_000;

/** A directory of sockets, with a port behind it if it is not the usual one. */
const SOCKET_DIRECTORY = /^(\/[^:]*?)(?::(\d{1,5}))?$/;

const sqlName = (description: string) =>
  z
    .string()
    .regex(/^[\p{L}_][\p{L}\p{N}_$-]{0,50}$/u, {
      error: 'a name of letters, digits and _ $ -, at most 51 characters',
    })
    .describe(description);

const login = {
  user: z.string().min(1).max(63).describe('Role of the database that the Kernel works as.'),
  password: secret(
    'Its password: {"env": "NAME"} or {"file": "path"}. Without it: none, as with peer or certificates.',
  ).optional(),
};

const retention = (description: string) =>
  duration(description, { min: DAY_MS, max: 100 * 366 * DAY_MS }).optional();

const postgresSchema = strict({
  hosts: z
    .array(
      z
        .string()
        .refine((text) => parseHost(text) !== null, { error: 'host:port, host (port 5432), or /directory' }),
    )
    .min(1)
    .max(8)
    .describe(
      'Where the database is: host:port, or the directory of its Unix socket. The first one that takes ' +
        'writes is used, so of a primary and its replicas the file names all.',
    ),
  database: z.string().min(1).max(63).default('kom').describe('Name of the database.'),
  schema: sqlName('Schema of the tables, which the Kernel makes.').default('kom'),
  ...login,
  owner: strict({
    user: z.string().min(1).max(63).describe('Role that owns the tables.'),
    password: secret('Its password: {"env": "NAME"} or {"file": "path"}.').optional(),
  })
    .optional()
    .describe(
      'Role that makes the tables and brings them up, at a start only; the user then needs no more than to ' +
        'read and write rows. Without it: the user.',
    ),
  tls: strict({
    ca: z
      .string()
      .min(1)
      .optional()
      .describe("Certificates of the database's authority. Without it: those of Node."),
    certificate: z.string().min(1).optional().describe('Certificate that the Kernel shows.'),
    key: z.string().min(1).optional().describe('Its key.'),
  })
    .optional()
    .describe('TLS to the database, whose certificate must be of the host that was dialled.'),
  insecure: z.boolean().default(false).describe('The link may leave this machine without TLS.'),
  connectTimeout: duration('Time for connecting to a host.', { min: 100 }).default('5s'),
  answerTimeout: duration(
    'A statement without an answer for so long is given up, and found out about over a new connection; a ' +
      'database that is only slow gets more each time, up to sixteen times this.',
    { min: 1000 },
  ).default('30s'),
  retention: retention('Months that are wholly older are dropped. Without it: nothing is ever dropped.'),
});

/** `archive` of a Kernel file. */
export const archiveSchema = strict({
  kind: z
    .enum(['embedded', 'postgres'])
    .default('embedded')
    .describe('embedded: DuckDB, in the directory. postgres: a PostgreSQL database.'),
  directory: z
    .string()
    .min(1)
    .default('./data/kernel')
    .describe(
      "Directory of the embedded archive and of the Kernel's own files, relative to the Kernel file.",
    ),
  memoryLimit: size('Memory that the embedded archive may use. Default: 512MB.', { min: 64e6 }).optional(),
  retention: retention(
    'Months of the embedded archive that are wholly older are dropped. Without it: nothing is ever dropped.',
  ),
  postgres: postgresSchema.optional().describe('The database, for the kind postgres.'),
});

type ArchiveInput = z.infer<typeof archiveSchema>;
type PostgresInput = z.infer<typeof postgresSchema>;

interface ArchiveScope {
  /** Where the Kernel file lies. */
  readonly directory: string;
  readonly files: Pick<FileAccess, 'readFile' | 'environment'>;
  readonly problems: ProblemList;
  readonly warnings: ProblemList;
  /** A missing secret is a warning: the file is only being checked. */
  readonly secretsOptional: boolean;
}

export function makeArchive(input: ArchiveInput, scope: ArchiveScope): KernelConfig['archive'] | null {
  const { problems } = scope;
  const directory = resolve(scope.directory, input.directory);
  if (input.kind === 'embedded') {
    if (input.postgres !== undefined) {
      problems.add(['archive', 'postgres'], 'the archive is embedded', { expected: '"kind": "postgres"' });
    }
    const memoryLimitBytes = parseSizeBytes(input.memoryLimit ?? '512MB') ?? 0;
    return { kind: 'embedded', directory, memoryLimitBytes, retentionMs: retentionMs(input) };
  }
  if (input.memoryLimit !== undefined) {
    problems.add(['archive', 'memoryLimit'], 'is of the embedded archive; the database has its own limits');
  }
  if (input.retention !== undefined) {
    problems.add(['archive', 'retention'], 'is of the embedded archive', {
      expected: 'archive.postgres.retention',
    });
  }
  if (input.postgres === undefined) {
    // With a mistake in it, it is not there either, and the mistake is told.
    if (!problems.all.some(({ path }) => path.startsWith('$.archive.postgres'))) {
      problems.add(['archive', 'postgres'], 'is needed', { expected: 'hosts and user of the database' });
    }
    return null;
  }
  return makePostgres(input.postgres, { ...scope, dataDirectory: directory });
}

function makePostgres(
  input: PostgresInput,
  scope: ArchiveScope & { readonly dataDirectory: string },
): PostgresArchiveConfig {
  const path: JsonPath = ['archive', 'postgres'];
  const hosts = input.hosts.flatMap((text) => parseHost(text) ?? []);
  for (const [index, host] of hosts.entries()) {
    if (host.host.startsWith('/')) continue;
    const link = { address: input.hosts[index] ?? '', host: host.host, insecure: input.insecure };
    checkLink({ ...link, hasTls: input.tls !== undefined }, [...path, 'hosts', index], scope);
  }
  const place = (file: string | undefined): string | null =>
    file === undefined ? null : resolve(scope.directory, file);
  const { ca, certificate, key } = input.tls ?? {};
  if ((certificate === undefined) !== (key === undefined)) {
    scope.problems.add([...path, 'tls'], 'a certificate and its key go together');
  }
  return {
    kind: 'postgres',
    directory: scope.dataDirectory,
    hosts,
    database: input.database,
    schema: input.schema,
    login: makeLogin(input, path, scope),
    owner: input.owner === undefined ? null : makeLogin(input.owner, [...path, 'owner'], scope),
    tls: input.tls === undefined ? null : { ca: place(ca), certificate: place(certificate), key: place(key) },
    connectTimeoutMs: milliseconds(input.connectTimeout),
    answerTimeoutMs: milliseconds(input.answerTimeout),
    retentionMs: retentionMs(input),
  };
}

function retentionMs({ retention: kept }: Pick<ArchiveInput, 'retention'>): number | null {
  return kept === undefined ? null : milliseconds(kept);
}

function makeLogin(
  { user, password }: Pick<PostgresInput, 'user' | 'password'>,
  path: JsonPath,
  scope: ArchiveScope,
): DatabaseLogin {
  if (password === undefined) return { user, password: null };
  const found = readSecret(password, scope);
  if (!('value' in found)) {
    const list = scope.secretsOptional ? scope.warnings : scope.problems;
    list.add([...path, 'password'], found.missing);
  }
  // By the next connection a file may have another one, and the Kernel file has not changed by that.
  if ('file' in password)
    return { user, password: null, passwordFile: resolve(scope.directory, password.file) };
  return { user, password: 'value' in found ? found.value : null, passwordVariable: password.env };
}

function parseHost(text: string): DatabaseHost | null {
  const socket = SOCKET_DIRECTORY.exec(text);
  if (socket !== null) return { host: socket[1] ?? '', port: Number(socket[2] ?? POSTGRES_PORT) };
  return parseAddress(text, POSTGRES_PORT);
}
