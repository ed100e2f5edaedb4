import type { Coverage, SequenceRange } from '../domain/coverage.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { HandoverRequest, LeaseAnswer, LeaseClaim } from '../domain/lease.ts';
import type { PeerState } from '../domain/peer-state.ts';
import type { Reign } from '../domain/reign.ts';
import type { SampleValue } from '../domain/sample.ts';
import type { PreviousStream, StreamInfo } from '../domain/stream.ts';
import type { Term } from '../domain/term.ts';

/** The messages of `kernel.proto` as values of this program: identities are hexadecimal, int64 is bigint. */
export type Message =
  | { readonly type: 'hello'; readonly hello: Hello }
  | { readonly type: 'welcome'; readonly welcome: Welcome }
  | { readonly type: 'bye'; readonly reason: ByeReason; readonly text: string }
  | { readonly type: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly type: 'dictionary'; readonly hash: string; readonly content: Uint8Array }
  | { readonly type: 'needDictionary'; readonly hash: string }
  | {
      readonly type: 'block';
      readonly bytes: Uint8Array;
      readonly repair?: true;
      readonly confirm?: true;
      readonly fromArchive?: true;
      readonly replayed?: true;
      /** How old it is by the clock of who gives it, µs. */
      readonly ageUs?: number;
    }
  | { readonly type: 'gap'; readonly gap: SequenceGap }
  | {
      readonly type: 'ack';
      readonly coverage: readonly StreamCoverage[];
      readonly archived?: readonly BlockRange[];
    }
  | { readonly type: 'nack'; readonly nack: Nack }
  | { readonly type: 'live'; readonly live: Live }
  | {
      readonly type: 'streamEnd';
      readonly streamId: string;
      readonly lastSequence: number;
      readonly endedAtUs: number;
    }
  | RedundancyMessage
  | KernelsMessage
  | { readonly type: 'command'; readonly command: Command }
  | { readonly type: 'commandResult'; readonly result: CommandResult };

/** Of the activation of instances; never sent to a side that agreed on an older version. */
export type RedundancyMessage =
  | { readonly type: 'leaseRenewal'; readonly echoUs: number; readonly claim: LeaseClaim }
  | { readonly type: 'lease'; readonly echoUs: number; readonly answer: LeaseAnswer }
  | { readonly type: 'peerState'; readonly state: PeerWord }
  | { readonly type: 'handover'; readonly request: HandoverRequest }
  | { readonly type: 'mirrorBlock'; readonly bytes: Uint8Array; readonly isSpilled: boolean }
  | { readonly type: 'mirrorStreams'; readonly streams: readonly StreamState[] }
  | { readonly type: 'spilled'; readonly streamId: string; readonly throughSequence: number }
  | { readonly type: 'mirrorAck'; readonly coverage: readonly StreamCoverage[] }
  | { readonly type: 'deliveryRight'; readonly streamIds: readonly string[] };

/** Between Kernels, and to agents that watch them; never sent to a side that agreed on an older version. */
export type KernelsMessage =
  | { readonly type: 'kernelWord'; readonly word: KernelWord }
  | { readonly type: 'forwardStreams'; readonly streams: readonly ForwardStream[] }
  | { readonly type: 'forwardCoverage'; readonly streams: readonly ForwardedStream[] }
  | { readonly type: 'forwardTerms'; readonly terms: readonly ForwardedTerm[] };

export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 3;
/** The first version with activation: leases, the peer link and mirrors. */
export const PROTOCOL_WITH_ACTIVATION = 2;
/** The first version with several Kernels. */
export const PROTOCOL_WITH_KERNELS = 3;
export const HELLO_MAGIC = 0x314d_4f4b;

export const LANES = ['control', 'data', 'probe', 'peer', 'watch', 'kernel'] as const;
export type Lane = (typeof LANES)[number];

export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly programVersion: string;
  readonly lane: Lane;
  /** Data lane: the session; peer lane: the run of the process. */
  readonly sessionId: string;
  readonly site: string;
  readonly process: string;
  readonly instance: number;
  readonly siteHash: string;
  readonly wallUs: number;
  readonly streams: readonly StreamState[];
  /** The chains have more streams: nothing follows from one that is not named. */
  readonly isPartial?: true;
  /** Control lane: the pace that the agent asks for; 0 for none. */
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
  /** Data lane: what the blocks to come are likely to use. */
  readonly dictionaryHashes: readonly string[];
  /** Seen durably; 0 for none. */
  readonly highestTerm: number;
  readonly highestKernelEpoch: number;
  /** Lane `kernel`: the Kernel that dials. */
  readonly kernelName?: string;
  /** Which machine that Kernel is; 32 hex digits. */
  readonly kernelIdentity?: string;
}

export interface StreamState {
  readonly streamId: string;
  readonly bootId: string;
  readonly startedAtUs: number;
  readonly previous: PreviousStream | null;
  /** Held and not acknowledged. */
  readonly held: readonly SequenceRange[];
  /** 0 for none. */
  readonly heldFromUs: number;
  readonly producedTo: number;
  /** `null` while it runs, or if it never ended cleanly. */
  readonly endedAtUs: number | null;
  /** It is the stream of this run of its store. */
  readonly running: boolean;
  /** It is mirrored for this instance of the process; not given: it is the sender's own. */
  readonly ownerInstance?: number;
}

export interface Welcome {
  readonly protocol: number;
  readonly programVersion: string;
  readonly sessionId: string;
  readonly wallUs: number;
  readonly coverage: readonly StreamCoverage[];
  /** Control lane: the pace of this session; 0 where the Kernel says nothing of it. */
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
  /** Data lane: dictionaries that need not be sent. */
  readonly knownDictionaries: readonly string[];
  /** 0: the Kernel keeps none. */
  readonly kernelEpoch: number;
}

export interface StreamCoverage {
  readonly streamId: string;
  readonly throughSequence: number;
  readonly held: readonly SequenceRange[];
}

/** The numbers of one block. */
export interface BlockRange {
  readonly streamId: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

export const BYE_REASONS = [
  'unspecified',
  'stopping',
  'protocol-error',
  'version',
  'replaced',
  'forbidden',
  'timeout',
  'standby',
] as const;
export type ByeReason = (typeof BYE_REASONS)[number];

export const UPLINK_STATES = ['outage', 'catch-up', 'online'] as const;
export type UplinkState = (typeof UPLINK_STATES)[number];

export interface Heartbeat {
  readonly wallUs: number;
  readonly streams: readonly StreamState[];
  readonly observedUntilUs: number;
  readonly uplinkState: UplinkState;
  /** From the Kernel: bytes of this connection that it has read. */
  readonly receivedBytes: number;
  /** From the agent: streams that are not named are as they were. */
  readonly isPartial: boolean;
  /** From the agent: its monotonic clock when it sent this, integer µs above 0. */
  readonly monotonicUs?: number;
  /** From the Kernel: what the agent's last heartbeat said, and when it came. */
  readonly echo?: ClockEcho;
}

export interface ClockEcho {
  readonly monotonicUs: number;
  /** The Kernel's wall clock, integer µs. */
  readonly receivedUs: number;
}

export const NACK_REASONS = ['unspecified', 'undecodable', 'too-large', 'forbidden'] as const;
export type NackReason = (typeof NACK_REASONS)[number];

export interface Nack extends BlockRange {
  readonly reason: NackReason;
  readonly text: string;
}

export interface Live {
  readonly streamId: string;
  readonly dictionaryHash: string;
  readonly values: readonly LiveValue[];
}

export interface LiveValue {
  readonly tagIndex: number;
  readonly sequence: number;
  readonly sourceTimeUs: number;
  readonly quality: number;
  readonly value: SampleValue;
}

/** What goes over the peer link of a `PeerState`; the Hello says whose it is. */
export interface PeerWord extends Omit<PeerState, 'instance'> {
  /** Monotonic clock of the sender when it sent this, integer µs above 0. */
  readonly sentUs: number;
  /** That of the newest word of the other side; 0: none came yet. */
  readonly echoUs: number;
  /** Bytes of this connection that it has read. */
  readonly receivedBytes: number;
}

/** What a Kernel says of the group. */
export interface KernelWord {
  readonly name: string;
  readonly reign: Reign;
  /** It is hot and takes sessions now. */
  readonly takesSessions: boolean;
  /** Bytes of this connection that it has read. */
  readonly receivedBytes: number;
  /** Which machine speaks, 32 hex digits; none: it does not say. */
  readonly identity?: string;
  /** The clock of who speaks, µs; none: it does not say. */
  readonly wallUs?: number;
  /** Numbers that who hears it, which is hot, lacks and gets of who speaks; none: it lacks nothing. */
  readonly toGive?: number;
}

/** A stream of a giver's archive. */
export interface ForwardStream extends StreamInfo {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
  /** Everything that was observed up to here has a number up to `observedSequence`. */
  readonly observedUntilUs: number;
  readonly observedSequence: number;
  /** Of a stream that ended cleanly. */
  readonly ended: { readonly atUs: number; readonly lastSequence: number } | null;
}

/** The last activation of a process of which an archive knows. */
export interface ForwardedTerm {
  readonly site: string;
  readonly process: string;
  readonly term: Term;
  readonly holder: number;
}

/** What a taker's archive has of a stream. */
export interface ForwardedStream {
  readonly streamId: string;
  readonly coverage: Coverage;
}

export interface Command {
  /** 128 bits, 32 hexadecimal digits. */
  readonly commandId: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly operator: string;
  readonly host: string;
  readonly givenAtUs: number;
  readonly timeoutMs: number;
}

export const COMMAND_OUTCOMES = ['unspecified', 'done', 'refused', 'failed'] as const;
export type CommandOutcome = (typeof COMMAND_OUTCOMES)[number];

export interface CommandResult {
  readonly commandId: string;
  readonly outcome: CommandOutcome;
  readonly text: string;
  readonly items: readonly unknown[];
}
