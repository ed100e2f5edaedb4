import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresArchiveConfig } from '../../src/config/model/kernel.ts';
import { freePort, sleep, until } from '../integration/support/until.ts';

/** Where Debian puts the programs of each version. */
const VERSIONS = '/usr/lib/postgresql';

/** Who runs the server: it refuses root. */
const USER = 'nobody';
const GROUP = 'nogroup';

const START_MAX_MS = 60_000;

/** Directory of the programs of the newest PostgreSQL here, or why there is none. */
function programs(): { readonly directory: string } | { readonly missing: string } {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((each) => existsSync(join(each, 'initdb')));
  if (found === undefined) return { missing: 'the Debian package postgresql is not installed' };
  if (process.getuid?.() !== 0) return { directory: found };
  return spawnSync('setpriv', ['--version']).status === 0
    ? { directory: found }
    : { missing: 'root cannot run PostgreSQL, and setpriv is not here' };
}

/** Why no server can be started here; `null`: one can. */
export const NO_POSTGRES: string | null = (() => {
  const found = programs();
  return 'missing' in found ? found.missing : null;
})();

export interface ServerOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Directory of the data; a temporary one if not given. Must belong to whoever runs the server. */
  readonly directory?: string;
  /** Where it listens, for other machines too; without it: a free port of the loopback. */
  readonly place?: ServerPlace;
}

export interface ServerPlace {
  /** Addresses, or `*`. */
  readonly listen: string;
  readonly port: number;
  /** The network namespace that it runs in. */
  readonly namespace?: string | undefined;
}

/** Whoever has the password, from anywhere; and other servers, which follow this one. */
const OPEN_HBA = 'host all all all scram-sha-256\nhost replication postgres all trust\n';

export interface StandbyOptions {
  readonly place?: ServerPlace;
  /** Address of the server that it follows; without it: its socket. */
  readonly follows?: string;
}

/** A PostgreSQL server of its own, on a socket and a port of the loopback; `postgres` may do everything. */
export class PostgresServer implements AsyncDisposable {
  readonly directory: string;
  readonly #bin: string;
  readonly #isOwnDirectory: boolean;
  #listen: ServerPlace;
  #child: ChildProcess | null = null;
  #output = '';

  private constructor(parts: {
    bin: string;
    directory: string;
    place: ServerPlace;
    isOwnDirectory: boolean;
  }) {
    this.#bin = parts.bin;
    this.directory = parts.directory;
    this.#listen = parts.place;
    this.#isOwnDirectory = parts.isOwnDirectory;
  }

  get port(): number {
    return this.#listen.port;
  }

  /** Makes the data and starts. */
  static async start({ settings = {}, directory, place }: ServerOptions = {}): Promise<PostgresServer> {
    const found = programs();
    if ('missing' in found) throw new Error(found.missing);
    const server = new PostgresServer({
      ...{ bin: found.directory, directory: directory ?? ownedDirectory() },
      place: place ?? (await ownPlace()),
      isOwnDirectory: directory === undefined,
    });
    asServer(join(found.directory, 'initdb'), [
      ...['-D', server.#data, '-U', 'postgres', '--no-sync', '-E', 'UTF8', '--locale', 'C.UTF-8'],
      ...['--auth-local=trust', '--auth-host=scram-sha-256'],
    ]);
    const lines = Object.entries({ shared_buffers: '32MB', max_connections: 40, ...settings });
    writeFileSync(
      join(server.#data, 'postgresql.auto.conf'),
      lines.map(([name, value]) => `${name} = '${value}'\n`).join(''),
    );
    if (place !== undefined) {
      const rules = join(server.#data, 'pg_hba.conf');
      // In front: the first one that fits counts, and those that are there are about the loopback.
      writeFileSync(rules, `${OPEN_HBA}${readFileSync(rules, 'utf8')}`);
    }
    await server.restart();
    return server;
  }

  /** Puts a file among its data, readable for it only. */
  install(name: string, text: string): void {
    const path = join(this.#data, name);
    writeFileSync(path, text, { mode: 0o600 });
    own(path, 0o600);
  }

  /** A standby that follows this server, and whose name among those that confirm a commit is `standby`. */
  async startStandby(options: StandbyOptions = {}): Promise<PostgresServer> {
    const directory = ownedDirectory();
    const place = options.place ?? (await ownPlace());
    const standby = new PostgresServer({ bin: this.#bin, directory, place, isOwnDirectory: true });
    asServer(join(this.#bin, 'pg_basebackup'), [
      ...['-D', standby.#data, '-h', this.directory, '-p', String(this.port), '-U', 'postgres'],
      ...['--write-recovery-conf', '--checkpoint=fast', '--wal-method=stream'],
    ]);
    appendFileSync(
      join(standby.#data, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=${options.follows ?? this.directory} port=${this.port} user=postgres` +
        ` application_name=standby'\n`,
    );
    await standby.restart();
    return standby;
  }

  /** Starts it again where it listens to other addresses. */
  async moveTo(listen: string): Promise<void> {
    this.#listen = { ...this.#listen, listen };
    await this.kill('SIGINT');
    await this.restart();
  }

  /** Makes a standby a server that takes writes. */
  promote(): void {
    this.sql('SELECT pg_promote()');
  }

  get #data(): string {
    return join(this.directory, 'data');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What the server wrote to its log. */
  get output(): string {
    return this.#output;
  }

  /** Starts it again after `kill`. */
  async restart(): Promise<void> {
    // What a killed server left behind: its children end by themselves, a moment later.
    const { listen, port, namespace } = this.#listen;
    const args = ['-D', this.#data, '-k', this.directory, '-p', String(port)];
    const endMs = performance.now() + START_MAX_MS;
    for (;;) {
      const child = spawnServer(
        join(this.#bin, 'postgres'),
        [...args, '-c', `listen_addresses=${listen}`],
        namespace,
      );
      let isOver = false;
      child.once('close', () => {
        isOver = true;
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
      this.#child = child;
      await until('the server to start', () => isOver || this.isReady(), START_MAX_MS);
      if (!isOver) return;
      if (performance.now() > endMs) throw new Error(`PostgreSQL does not start: ${this.#output}`);
      await sleep(200);
    }
  }

  isReady(): boolean {
    return spawnSync(join(this.#bin, 'pg_isready'), ['-q', ...this.#place]).status === 0;
  }

  /** SIGTERM waits for clients, SIGINT ends them, SIGKILL is a crash. Resolves when it is gone. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const over = new Promise((resolve) => child.once('close', resolve));
    child.kill(signal);
    await over;
  }

  /** Rows of statements as a superuser, columns parted by |. */
  sql(text: string, database = 'postgres', user = 'postgres'): string[] {
    const done = spawnSync(
      join(this.#bin, 'psql'),
      [...this.#place, '-U', user, '-d', database, '-v', 'ON_ERROR_STOP=1', '-qAtX'],
      { input: text, encoding: 'utf8' },
    );
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout.split('\n').filter((line) => line !== '');
  }

  /** Runs commands as an operator beside the server would who may do everything; they say where it fails. */
  run(commands: string, cwd: string): void {
    const env = {
      ...process.env,
      ...{ PATH: `${this.#bin}:${process.env['PATH']}`, PGHOST: this.directory, PGPORT: String(this.port) },
      PGUSER: 'postgres',
    };
    execFileSync('sh', ['-ec', commands], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  /** A schema with what is in it, as `sql` takes it again. */
  dump(schema: string): string {
    const args = [...this.#place, '-U', 'postgres', '-d', 'postgres', '-n', schema];
    return execFileSync(join(this.#bin, 'pg_dump'), args, { encoding: 'utf8' });
  }

  /** What a Kernel needs to work here as a superuser, over the socket. */
  config(more: Partial<PostgresArchiveConfig> = {}): PostgresArchiveConfig {
    return {
      ...{ kind: 'postgres', directory: this.directory, database: 'postgres', schema: 'kom' },
      hosts: [{ host: this.directory, port: this.port }],
      login: { user: 'postgres', password: null },
      ...{ owner: null, tls: null, connectTimeoutMs: 5000, answerTimeoutMs: 30_000, retentionMs: null },
      ...more,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // At once: in good order it would wait for standbys that are gone.
    await this.kill('SIGQUIT');
    if (this.#isOwnDirectory) rmSync(this.directory, { recursive: true, force: true });
  }

  get #place(): string[] {
    return ['-h', this.directory, '-p', String(this.port)];
  }
}

async function ownPlace(): Promise<ServerPlace> {
  return { listen: '127.0.0.1', port: await freePort() };
}

/** A temporary directory that whoever runs the server may use. */
export function ownedDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kom-pg-'));
  own(directory);
  return directory;
}

/** Gives a place to whoever runs the server; everybody may pass through a directory to its socket. */
export function own(path: string, mode = 0o755): void {
  chmodSync(path, mode);
  if (process.getuid?.() === 0) execFileSync('chown', [`${USER}:${GROUP}`, path]);
}

function command(program: string, args: readonly string[]): [string, string[]] {
  return process.getuid?.() === 0
    ? ['setpriv', [`--reuid=${USER}`, `--regid=${GROUP}`, '--clear-groups', program, ...args]]
    : [program, [...args]];
}

function asServer(program: string, args: readonly string[]): void {
  const [file, all] = command(program, args);
  execFileSync(file, all, { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
}

function spawnServer(program: string, args: readonly string[], namespace?: string): ChildProcess {
  const plain = command(program, args);
  const within: [string, string[]] = ['ip', ['netns', 'exec', namespace ?? '', plain[0], ...plain[1]]];
  const [file, all] = namespace === undefined ? plain : within;
  return spawn(file, all, { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
}
