/**
 * The site as the program uses it: templates expanded, defaults filled in, names made, units converted.
 * `load.ts` is the only maker of these values; everything else only reads them.
 */
import type { ClockMode } from '../domain/clock-discipline.ts';
import type { CommandName } from '../domain/commands.ts';
import type { ValueType } from '../domain/dictionary.ts';
import type { TagClass } from '../domain/stream.ts';
import type { TlsFiles } from '../world/tls-files.ts';
import type { Address } from '../world/transport.ts';

export interface Site {
  readonly name: string;
  /** First 128 bits of the SHA-256 of the expanded site, hexadecimal: equal on both comm servers. */
  readonly hash: string;
  /** Whose time the agents stamp with. */
  readonly clock: ClockMode;
  /** Commands that operators may give; not given: COMMANDS_ALLOWED_BY_DEFAULT. */
  readonly commandsAllowed?: readonly CommandName[];
  readonly kernels: readonly KernelAddress[];
  readonly servers: readonly Server[];
  readonly processes: readonly Process[];
}

/** Where the Kernels are: what a running agent follows of its site file. */
export interface KernelPlaces {
  /** Of the whole file. */
  readonly siteHash: string;
  /** To be dialled, the preferred one first. */
  readonly kernels: readonly KernelAddress[];
  /** Processes that wait for a Kernel, and where it may dial from. */
  readonly waiting: readonly WaitingProcess[];
}

export interface WaitingProcess {
  readonly process: string;
  /** Addresses and networks; empty: any. */
  readonly allowFrom: readonly string[];
}

export interface KernelAddress extends Address {
  /** Local address that connections to it leave from, by server; else that of the server. */
  readonly localAddresses: Readonly<Record<string, string>>;
  /** The file says that this link may run without TLS. */
  readonly insecure: boolean;
}

/** A comm server: one industrial PC. */
export interface Server {
  readonly name: string;
  /** Number of the instances that this server runs, 1 to 15. */
  readonly instance: number;
  /** Absolute path; each instance has a directory of its own below it. */
  readonly dataDirectory: string;
  /** Absolute path of the control socket. */
  readonly controlSocket: string;
  /** Local address that connections leave from; the system's choice if not set. */
  readonly localAddress?: string;
  /** Where the other comm servers reach it, one for each network between them. */
  readonly peers: readonly PeerAddress[];
  /** Its certificates; `null`: the site has no TLS. */
  readonly tls: TlsFiles | null;
  /** Bytes that its flash can take in its life, where the file says so. */
  readonly flashTbwBytes?: number;
}

export interface PeerAddress {
  /** What the others dial. */
  readonly address: Address;
  /** What it listens on. */
  readonly listen: Address;
  /** The file says that this path may run without TLS. */
  readonly insecure: boolean;
}

export interface Process {
  readonly name: string;
  /** Names of the servers that run an instance of it. */
  readonly servers: readonly string[];
  readonly buffer: BufferSettings;
  readonly uplink: UplinkSettings;
  readonly redundancy: RedundancySettings;
  readonly lines: readonly Line[];
}

/** How the instances of a process share the work; of no meaning where one server runs it. */
export interface RedundancySettings {
  /** 0: none. */
  readonly preferredInstance: number;
  /** The preferred instance must have been connected and fit for so long before it is made active again. */
  readonly preferHoldOffMs: number;
  /** Silence of the peer on all networks after which a standby takes over without a Kernel. */
  readonly peerTimeoutMs: number;
  readonly peerHeartbeatMs: number;
  /** How often a standby proves that it could take over, */
  readonly fitnessIntervalMs: number;
  /** and at which age of the last proof there is an alarm. */
  readonly fitnessMaxAgeMs: number;
  /** The peer holds a copy of the backlog. */
  readonly isMirrored: boolean;
}

/**
 * `always`: every block is durable before it is sent. `on-outage`: only what the Kernel does not take soon.
 */
export type StorePolicy = 'always' | 'on-outage';

export interface BufferSettings {
  readonly store: StorePolicy;
  /** Bound on the bytes on disk. */
  readonly capacityBytes: number;
  /** Storing stops short of filling the file system further than this. */
  readonly freeDiskFloorBytes: number;
  /** Share of capacity and window of the alarms' own store; 0: one store for all tags. */
  readonly alarmShare: number;
  readonly whenFull: 'drop-oldest' | 'refuse-newest';
  /** Of what no Kernel acknowledged, in run time; not given: it stays as long as there is room. */
  readonly maxAgeUnackedMs?: number;
  /** Of what is kept though it was acknowledged, in run time; not given: likewise. */
  readonly maxAgeAcknowledgedMs?: number;
  /** The configured bound on what a power cut may lose. */
  readonly powerCutLossMaxMs: number;
  /** Derived from it: a block is sealed at this age, */
  readonly blockAgeMs: number;
  /** goes to the ring when not acknowledged at this age, */
  readonly spillAgeMs: number;
  /** and the alive mark is renewed at this pace. */
  readonly aliveMarkMs: number;
  /** Bound on un-acknowledged blocks held in memory. */
  readonly windowBytes: number;
  /** Largest segment of the ring, which its write buffer takes whole; not given: 8 MB. */
  readonly segmentBytesMax?: number;
}

export interface UplinkSettings {
  readonly heartbeatMs: number;
  /** Silence of the other side that counts as an outage; the Kernel takes over both for its side. */
  readonly silenceMaxMs: number;
  readonly connectTimeoutMs: number;
  readonly reconnectDelayMinMs: number;
  readonly reconnectDelayMaxMs: number;
  /** A session that lasted this long was stable: delays and holds begin anew. */
  readonly stableAfterMs: number;
  /** Longest time for which a session of a flapping link stays `outage`. */
  readonly holdMaxMs: number;
  /** While on a less preferred address the better ones are asked at this pace, */
  readonly probeIntervalMs: number;
  /** and used again when they have answered for this long. */
  readonly returnAfterMs: number;
  /** Bytes a second of the catch-up below which live values give way; 0: they never do. */
  readonly minBytesPerS: number;
  /** Bytes a second of the catch-up at most; infinite: no ceiling. */
  readonly maxBytesPerS: number;
  /** How often a changed live value is sent while the archive lane catches up. */
  readonly liveIntervalMs: number;
  /** How often an instance of a process with several claims the lease, */
  readonly leaseRenewMs: number;
  /** and how long a lease holds that is not renewed. */
  readonly leaseMs: number;
  /** The Kernel dials; the agent opens no connection to any. */
  readonly listen?: UplinkListen;
}

/** Reverse connection: where the Kernel reaches an instance, by server. */
export interface UplinkListen {
  readonly address: Address;
  /** Servers that listen somewhere else. */
  readonly serverAddresses: Readonly<Record<string, Address>>;
  /** Addresses and networks that connections are taken from; empty: any. */
  readonly allowFrom: readonly string[];
  /** The file says that the listener may run without TLS. */
  readonly insecure: boolean;
}

export type Line = ModbusLine | OpcuaLine;

interface LineBase {
  readonly name: string;
  readonly reconnectDelayMinMs: number;
  readonly reconnectDelayMaxMs: number;
  readonly failover: LineFailover;
}

/**
 * What a standby does with a line: nothing; it is connected and takes nothing; it observes all the time and
 * keeps little.
 */
export type StandbyMode = 'cold' | 'warm' | 'hot';

/** What becomes of a line where two instances could have it. */
export interface LineFailover {
  readonly standby: StandbyMode;
  /** The line takes one client. */
  readonly isExclusive: boolean;
  /** What an active instance that hears neither Kernel nor peer does with an exclusive line. */
  readonly onIsolation: 'release' | 'keep';
  /** A standby may open the line to prove that it could take over. */
  readonly isTested: boolean;
}

export interface ModbusLine extends LineBase {
  readonly driver: 'modbus';
  readonly channel: ModbusChannel;
  /** Time for one answer. */
  readonly responseTimeoutMs: number;
  /** Further tries of a request that got no answer. */
  readonly retries: number;
  /** Pause between requests on the line. */
  readonly requestGapMs: number;
  /** After this many cycles without any answer a unit is only probed, at `probeIntervalMs`. */
  readonly degradeAfterCycles: number;
  readonly probeIntervalMs: number;
  readonly stations: readonly ModbusStation[];
}

export type ModbusChannel =
  | { readonly kind: 'tcp'; readonly address: Address }
  | { readonly kind: 'rtu-over-tcp'; readonly address: Address }
  | {
      readonly kind: 'rtu';
      readonly device: string;
      readonly baudRate: number;
      readonly parity: 'none' | 'even' | 'odd';
      readonly dataBits: 7 | 8;
      readonly stopBits: 1 | 2;
    };

export interface ModbusStation {
  readonly name: string;
  readonly mode: StationMode;
  /** Unit address, 0 to 255. */
  readonly unit: number;
  readonly maxRegistersPerRequest: number;
  readonly maxBitsPerRequest: number;
  /** Registers (or bits) that nobody asked for may be read along when the hole is at most this wide. */
  readonly maxGap: number;
  readonly tags: readonly ModbusTag[];
}

/** `off`: not polled; the time it is off is declared as a gap. */
export type StationMode = 'on' | 'off';

export interface TagBase {
  /** Index in the dictionary of the process. */
  readonly index: number;
  /** Full name, unique per site. */
  readonly name: string;
  readonly class: TagClass;
  /** Type of the value after scaling, as it is archived. */
  readonly type: ValueType;
  readonly engineeringUnit: string;
  readonly description: string;
  readonly formerly: readonly string[];
  /** Changes of a float64 or int64 not larger than this are not reported; 0: every change is. */
  readonly deadband: number;
  /** An unchanged value is repeated at this period. */
  readonly reportAtLeastEveryMs: number;
  /** Where the tag was defined, for `kom check --expand`: "template pump, station P1". */
  readonly origin: string;
}

export type ModbusTable = 'coil' | 'discrete-input' | 'holding-register' | 'input-register';

/** Types of raw values. `bit` of a register takes `bitIndex`; a coil or discrete input is a bit itself. */
export type ModbusRawType =
  | 'bit'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float32'
  | 'float64';

export interface ModbusTag extends TagBase {
  readonly table: ModbusTable;
  /** Address in the protocol data unit, 0 to 65535. */
  readonly address: number;
  readonly rawType: ModbusRawType;
  /** For `bit` in a register: 0 (least significant) to 15. */
  readonly bitIndex: number;
  /** Order of the registers of a value: `big` is most significant first. */
  readonly wordOrder: 'big' | 'little';
  /** Order of the two bytes within a register: `big` is the standard's. */
  readonly byteOrder: 'big' | 'little';
  /** value = raw × scale + offset; with 1 and 0 an integer stays an exact integer. */
  readonly scale: number;
  readonly offset: number;
  readonly scanMs: number;
}

export interface OpcuaLine extends LineBase {
  readonly driver: 'opcua';
  /** `opc.tcp://host:port/path` */
  readonly endpointUrl: string;
  readonly securityPolicy: 'None' | 'Basic256Sha256';
  readonly securityMode: 'None' | 'Sign' | 'SignAndEncrypt';
  /** Anonymous if not set; the password is already resolved from its environment variable or file. */
  readonly user?: { readonly name: string; readonly password: string };
  /** Absolute directory of the client's certificate, key and trusted server certificates. */
  readonly pkiDirectory: string;
  /** Accept and remember a server certificate that is seen for the first time. */
  readonly trustOnFirstUse: boolean;
  readonly publishingIntervalMs: number;
  readonly keepAliveCount: number;
  readonly lifetimeCount: number;
  readonly sessionTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** One line is one endpoint and one session; each station is one subscription. */
  readonly stations: readonly OpcuaStation[];
}

export interface OpcuaStation {
  readonly name: string;
  readonly mode: StationMode;
  readonly tags: readonly OpcuaTag[];
}

export interface OpcuaTag extends TagBase {
  /** `ns=2;s=Pump1.Flow`, or `nsu=urn:…;s=…` resolved against the server's namespace array. */
  readonly nodeId: string;
  readonly samplingIntervalMs: number;
  readonly queueSize: number;
}

/** Configuration of a Kernel. */
