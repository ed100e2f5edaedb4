/** The one importer of the client of PostgreSQL: an optional dependency, loaded when an archive is opened. */
import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import type { DatabaseHost, DatabaseLogin, PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import { describeError, invariant, isKomError, KomError } from '../../../domain/errors.ts';
import type { Clock } from '../../../world/clock.ts';
import { sslOf, TlsFileError, tlsFinding } from './tls.ts';

/** A row: every column is text, as PostgreSQL writes it. */
export type Row = Readonly<Record<string, string | null>>;

/** A parameter of a statement. */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | null
  | readonly (string | number | null)[];

/** What the database, or the way to it, says against a statement. */
export class DatabaseError extends Error {
  /** SQLSTATE; `null`: the connection is lost, or was given up. */
  readonly state: string | null;

  constructor(message: string, state: string | null, cause?: unknown) {
    super(message, { cause });
    this.name = 'DatabaseError';
    this.state = state;
  }
}

export interface ConnectOptions {
  readonly config: PostgresArchiveConfig;
  readonly login: DatabaseLogin;
  readonly clock: Clock;
}

/** SQLSTATE of a COMMIT that went through here, but of which no standby has said that it has it. */
const NOT_REPLICATED = '01000';

/** One connection. Statements go one after the other. */
export class Connection {
  readonly host: DatabaseHost;
  readonly #client: Client;
  readonly #modules: PostgresModules;
  readonly #clock: Clock;
  #isUsable = true;
  /** Why it was given up. */
  #givenUp: string | null = null;
  #hasTimedOut = false;
  #warning: string | null = null;

  constructor(parts: {
    readonly host: DatabaseHost;
    readonly client: Client;
    readonly modules: PostgresModules;
    readonly clock: Clock;
  }) {
    this.host = parts.host;
    this.#client = parts.client;
    this.#modules = parts.modules;
    this.#clock = parts.clock;
    const lost = (): void => {
      this.#isUsable = false;
    };
    parts.client.on('error', lost);
    parts.client.on('end', lost);
    parts.client.on('notice', ({ code, severity, message }) => {
      if (severity === 'WARNING' && code === NOT_REPLICATED) this.#warning = message ?? '';
    });
  }

  /** False once it is lost or was given up. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** It was given up because no answer came in time. */
  get hasTimedOut(): boolean {
    return this.#hasTimedOut;
  }

  /** Rows of the last statement of `sql`; with values it must be only one. @throws DatabaseError */
  async query(sql: string, values: readonly Value[], answerMaxMs: number): Promise<readonly Row[]> {
    return await this.#within(answerMaxMs, async () => {
      const parameters = values.map(parameterOf);
      const result = await this.#client.query<Record<string, string | null>>(
        parameters.length === 0 ? sql : { text: sql, values: parameters },
      );
      const last = Array.isArray(result) ? (result as (typeof result)[]).at(-1) : result;
      return last?.rows ?? [];
    });
  }

  /** Commits. What a server only warns of, that no standby has it, is an error. @throws DatabaseError */
  async commit(answerMaxMs: number): Promise<void> {
    this.#warning = null;
    await this.query('COMMIT', [], answerMaxMs);
    if (this.#warning !== null) throw new DatabaseError(this.#warning, null);
  }

  /** `COPY … FROM STDIN`; each chunk has so long. Returns the number of rows. @throws DatabaseError */
  async copyIn(sql: string, chunks: AsyncIterable<Uint8Array>, answerMaxMs: number): Promise<number> {
    const stream = this.#client.query(this.#modules.copy.from(sql));
    const over = new Promise<void>((resolve, reject) => {
      stream.once('finish', resolve);
      stream.once('error', reject);
    });
    // Whoever waits for it hears of it below.
    over.catch(() => undefined);
    for await (const chunk of chunks) {
      if (stream.write(chunk)) continue;
      const drained = new Promise<void>((resolve) => stream.once('drain', resolve));
      await this.#within(answerMaxMs, () => Promise.race([drained, over]));
    }
    stream.end();
    await this.#within(answerMaxMs, () => over);
    return stream.rowCount;
  }

  /** `COPY … TO STDOUT`; returns the number of rows. @throws DatabaseError */
  async copyOut(sql: string, take: (chunk: Uint8Array) => void, answerMaxMs: number): Promise<number> {
    const stream = this.#client.query(this.#modules.copy.to(sql));
    await this.#within(answerMaxMs, async () => {
      for await (const chunk of stream) take(chunk as Uint8Array);
    });
    return stream.rowCount;
  }

  /** Drops it as it is: what is under way on it fails, and the server takes it back or has it already. */
  giveUp(why: string): void {
    this.#givenUp ??= why;
    this.#isUsable = false;
    // Not in good order: a host that is cut off would be waited for until TCP gives it up.
    socketOf(this.#client).destroy();
  }

  /** Ends it in good order. */
  async close(): Promise<void> {
    if (!this.#isUsable) return;
    this.#isUsable = false;
    const timer = this.#clock.schedule('end of a database connection', CLOSE_MAX_MS, () =>
      this.giveUp('it did not end'),
    );
    await this.#client.end().catch(() => undefined);
    timer.cancel();
  }

  async #within<T>(answerMaxMs: number, work: () => Promise<T>): Promise<T> {
    if (!this.#isUsable) throw new DatabaseError(this.#givenUp ?? 'the connection is lost', null);
    const timer = this.#clock.schedule('answer of the database', answerMaxMs, () => {
      this.#hasTimedOut = true;
      this.giveUp(`no answer within ${Math.round(answerMaxMs)} ms`);
    });
    try {
      return await work();
    } catch (error) {
      throw this.#errorOf(error);
    } finally {
      timer.cancel();
    }
  }

  #errorOf(error: unknown): DatabaseError {
    const { code, severity } = (error ?? {}) as { readonly code?: unknown; readonly severity?: unknown };
    const what = this.#givenUp ?? describeError(error);
    // Behind FATAL the server closes, which is noticed a moment later.
    const isAnswer = typeof code === 'string' && severity !== undefined && severity !== 'FATAL';
    if (!isAnswer || this.#givenUp !== null) this.#isUsable = false;
    return new DatabaseError(what, isAnswer && this.#givenUp === null ? code : null, error);
  }
}

/** A connection that does not end in good order within this is dropped. */
const CLOSE_MAX_MS = 2000;

/** Older ones lack `client_connection_check_interval`, by which a server notices that a Kernel is gone. */
const SERVER_VERSION_MIN = 140_000;

/**
 * What every session has: `literal` and all that is read back rely on it, whatever a database or a role has
 * set. A server that lost its Kernel gives up what it left open within seconds, so that the next connection
 * is not held up by its locks.
 */
const SESSION = `
  SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; SET extra_float_digits = 1;
  SET standard_conforming_strings = on;
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
  SET tcp_user_timeout = 20000; SET client_connection_check_interval = '5s';
  SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = 0; SET lock_timeout = '15s';`;

/** The socket of a client, of which its types do not tell. */
function socketOf(client: object): { destroy(): void } {
  const stream = partOf(partOf(client, 'connection'), 'stream');
  const destroy = partOf(stream, 'destroy');
  invariant(typeof destroy === 'function', 'a client of PostgreSQL has a connection with a stream');
  return { destroy: () => void destroy.call(stream) };
}

function partOf(whole: unknown, name: string): unknown {
  return typeof whole === 'object' && whole !== null ? Reflect.get(whole, name) : undefined;
}

interface PostgresModules {
  readonly pg: typeof import('pg');
  readonly copy: typeof import('pg-copy-streams');
}

/** What a server says of itself. */
interface ServerState {
  readonly version: number;
  /** It takes no writes: a standby, or set so. */
  readonly isReadOnly: boolean;
}

/**
 * Connects to the first host that takes writes; with `anyHost` to one that takes none if there is no other.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE with what each host said
 */
export async function connect(options: ConnectOptions, anyHost = false): Promise<Connection> {
  const modules = await loadModules();
  const refused: string[] = [];
  let isRefusal = true;
  let readOnly: Connection | null = null;
  for (const host of options.config.hosts) {
    try {
      const { connection, state } = await connectTo(host, options, modules);
      if (!state.isReadOnly) {
        await readOnly?.close();
        return connection;
      }
      refused.push(`${formatHost(host)} takes no writes`);
      isRefusal = false;
      if (anyHost && readOnly === null) readOnly = connection;
      else await connection.close();
    } catch (error) {
      refused.push(`${formatHost(host)}: ${describeError(error)}`);
      isRefusal &&= isRefusedFor(error);
    }
  }
  if (readOnly !== null) return readOnly;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', refused.join('; '), {
    cause: new DatabaseError(refused.join('; '), isRefusal ? REFUSED : null),
  });
}

/** What the client says of a server that has TLS switched off; it gives it no code. */
const NO_TLS = 'The server does not support SSL connections';

/** SQLSTATE class of what does not get better by trying again: wrong password, no such database, no right. */
const REFUSED = '28000';

const WRONG_PASSWORD = '28P01';

function passwordHint({ passwordFile, passwordVariable }: DatabaseLogin): string {
  if (passwordFile !== undefined) return `: the one in ${passwordFile}, which is read at each try`;
  if (passwordVariable === undefined) return '';
  return (
    `: the one that the environment variable ${passwordVariable} had when this Kernel started; ` +
    'for another one restart it'
  );
}

/** SQLSTATE of a right that is missing. */
export const NO_RIGHT = '42501';

/** SQLSTATE of tables that are not what they were. */
export const TABLES_DIFFER = '42P17';

/** What a person must put right: a server that says no, not one that is away. */
export function isRefusedFor(error: unknown): boolean {
  const cause = isKomError(error) ? error.cause : error;
  const state = cause instanceof DatabaseError ? cause.state : (cause as { code?: unknown } | null)?.code;
  return typeof state === 'string' && /^(28|3D|42)/.test(state);
}

async function connectTo(
  host: DatabaseHost,
  { config, login, clock }: ConnectOptions,
  modules: PostgresModules,
): Promise<{ readonly connection: Connection; readonly state: ServerState }> {
  const client = new modules.pg.Client({
    host: host.host,
    port: host.port,
    database: config.database,
    user: login.user,
    // Never what the environment or a file of the user's home happens to hold.
    password: () => passwordOf(login),
    application_name: 'kom-archive',
    connectionTimeoutMillis: config.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: { getTypeParser: () => (text: string) => text },
    ...withTlsFiles(() => sslOf(config, host)),
  });
  const connection = new Connection({ host, client, modules, clock });
  try {
    await client.connect();
    const state = await serverState(connection, config);
    if (state.version < SERVER_VERSION_MIN) throw new DatabaseError('older than PostgreSQL 14', REFUSED);
    return { connection, state };
  } catch (error) {
    connection.giveUp(describeError(error));
    const finding = withTlsFiles(() => tlsFinding(error, { ...host, tls: config.tls }));
    if ((error as { code?: unknown }).code === WRONG_PASSWORD) {
      throw new DatabaseError(`${describeError(error)}${passwordHint(login)}`, WRONG_PASSWORD, error);
    }
    // At the server or in the file, and maybe put right by renewing: a Kernel starts and waits.
    if (finding !== null) throw new DatabaseError(finding, null, error);
    if (describeError(error) !== NO_TLS) throw error;
    const hint = 'set ssl = on at the server, or leave tls out of the Kernel file';
    throw new DatabaseError(`it speaks no TLS, which the Kernel file asks for; ${hint}`, REFUSED, error);
  }
}

/** @throws DatabaseError for a person where a file is of no use */
function withTlsFiles<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    throw new DatabaseError(error.message, REFUSED, error);
  }
}

async function serverState(
  connection: Connection,
  { connectTimeoutMs: maxMs, schema }: PostgresArchiveConfig,
): Promise<ServerState> {
  const [row] = await connection.query(
    `SELECT current_setting('server_version_num') AS version,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only`,
    [],
    maxMs,
  );
  const version = Number(row?.['version']);
  if (version >= SERVER_VERSION_MIN) {
    await connection.query(`${SESSION} SET search_path = ${identifier(schema)}, pg_temp`, [], maxMs);
  }
  return { version, isReadOnly: row?.['read_only'] === 't' };
}

/** As it is now: it may have been changed, in the database and in its file, since the last connection. */
function passwordOf({ user, password, passwordFile }: DatabaseLogin): string {
  if (passwordFile !== undefined) {
    try {
      return readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      const why = `the password of ${user} cannot be read: ${describeError(error)}`;
      throw new DatabaseError(why, REFUSED, error);
    }
  }
  if (password !== null) return password;
  throw new DatabaseError(`it asks for a password of ${user} and the Kernel file names none`, REFUSED);
}

/** PostgreSQL's text has no NUL; only a dictionary that nobody made in good faith has one in a name. */
function parameterOf(value: Value): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return withoutNul(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return Array.isArray(value)
    ? value.map((each: unknown) => (typeof each === 'string' ? withoutNul(each) : each))
    : value;
}

/** A text as PostgreSQL can hold it: in the place of each NUL there is the replacement character. */
export function withoutNul(text: string): string {
  return text.includes('\u0000') ? text.replaceAll('\u0000', '\ufffd') : text;
}

/** A name, quoted. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text, quoted. */
export function literal(text: string): string {
  return `'${withoutNul(text).replaceAll("'", "''")}'`;
}

export function formatHost({ host, port }: DatabaseHost): string {
  if (host.startsWith('/')) return `${host}/.s.PGSQL.${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function loadModules(): Promise<PostgresModules> {
  try {
    const [pg, copy] = await Promise.all([import('pg'), import('pg-copy-streams')]);
    return { pg, copy };
  } catch (error) {
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the packages pg and pg-copy-streams are not installed', {
      hint: 'install them (npm install pg pg-copy-streams)',
      cause: error,
    });
  }
}
