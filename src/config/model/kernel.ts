import type { TlsFiles } from '../../world/tls-files.ts';
import type { Address } from '../../world/transport.ts';

/** Several Kernels: which ones, and how they work together. */
export interface KernelGroupSettings {
  /** Name of this Kernel, as in its certificate. */
  readonly name: string;
  readonly kernels: readonly OtherKernel[];
  /** What it is when it starts for the first time and no other Kernel tells it. */
  readonly firstRole: 'hot' | 'standby';
  readonly ackPolicy: 'in-sync' | 'hot';
  readonly ring: { readonly directory: string; readonly capacityBytes: number };
}

/** Several Kernels that share an archive: who they are stands in the database. */
export interface SharedGroupSettings {
  /** Name of this Kernel, as in its certificate. */
  readonly name: string;
}

/** Another Kernel of the group. */
export interface OtherKernel {
  readonly name: string;
  /** The first one that works is used. */
  readonly addresses: readonly Address[];
  /** The file says that the link may run without TLS. */
  readonly insecure: boolean;
}

export interface KernelConfig {
  readonly listen: Address;
  /** The file says that the listener may run without TLS on an address other than loopback. */
  readonly insecure: boolean;
  /** Its certificates; `null`: no TLS. */
  readonly tls: TlsFiles | null;
  /** Sites and, as `site/process`, processes that are welcome; all if not given. */
  readonly accept?: readonly string[];
  readonly archive: EmbeddedArchiveConfig | PostgresArchiveConfig;
  /** It is one of several Kernels, each of which has an archive of its own. */
  readonly redundancy?: KernelGroupSettings;
  /** It is one of several Kernels that share the database of the archive. */
  readonly sharing?: SharedGroupSettings;
  /** Agents that wait to be dialled: reverse connections. */
  readonly agents: readonly DialledAgent[];
  /** Absolute path of the control socket. */
  readonly controlSocket: string;
}

/** An archive on DuckDB. */
export interface EmbeddedArchiveConfig {
  readonly kind: 'embedded';
  readonly directory: string;
  readonly memoryLimitBytes: number;
  /** Months that are wholly older are dropped; `null`: none is. */
  readonly retentionMs: number | null;
}

/** An archive in a PostgreSQL database. */
export interface PostgresArchiveConfig {
  readonly kind: 'postgres';
  /** For the Kernel's own files. */
  readonly directory: string;
  /** The first one that takes writes is used. */
  readonly hosts: readonly DatabaseHost[];
  readonly database: string;
  readonly schema: string;
  readonly login: DatabaseLogin;
  /** Makes the tables; `null`: the one that writes does. */
  readonly owner: DatabaseLogin | null;
  /** Absolute paths; `null`: no TLS. */
  readonly tls: {
    readonly ca: string | null;
    readonly certificate: string | null;
    readonly key: string | null;
  } | null;
  readonly connectTimeoutMs: number;
  readonly answerTimeoutMs: number;
  /** Months that are wholly older are dropped; `null`: none is. */
  readonly retentionMs: number | null;
}

/** A server of the database: a name or address, or the directory of its Unix socket. */
export interface DatabaseHost {
  readonly host: string;
  readonly port: number;
}

/** A role of the database. */
export interface DatabaseLogin {
  readonly user: string;
  /** `null`: the file names none, or a file that has it. */
  readonly password: string | null;
  /** Absolute path of the file that has it, which is read with each connection. */
  readonly passwordFile?: string;
  /** Environment variable that it came from: another one is taken by a restart only. */
  readonly passwordVariable?: string;
}

/** An agent in a DMZ, which opens no connection itself. */
export interface DialledAgent {
  readonly site: string;
  readonly process: string;
  /** Only this instance is welcome there; any if not given. */
  readonly instance?: number;
  /** The first one that works is used. */
  readonly addresses: readonly Address[];
  readonly localAddress?: string;
  /** Pause between the tries of one address at most. */
  readonly retryMs: number;
  readonly connectTimeoutMs: number;
  /** The file says that the link may run without TLS. */
  readonly insecure: boolean;
}
