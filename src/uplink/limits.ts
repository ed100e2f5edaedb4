/**
 * Every limit on what another machine may say, in one place; kernel.proto tells them to whoever writes the
 * other side. What is beyond a limit is refused with KOM_FRAME_INVALID, KOM_FRAME_TOO_LARGE or
 * KOM_LIMIT_EXCEEDED; where it says so the sender waits instead. Limits on a block are in
 * domain/block/block.ts, on a dictionary in domain/dictionary.ts.
 */
import { KomError } from '../domain/errors.ts';

/** Bytes of a frame, length prefix apart. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Before the other side has said who it is. */
export const FRAME_BYTES_MAX_BEFORE_WELCOME = 1024 * 1024;

/**
 * Fields of one frame, those of nested messages included: a message of a few bytes takes a hundred times
 * as much memory when it is read.
 */
export const FRAME_FIELDS_MAX = 500_000;

/** Entries of lists in one message. */
export const STREAMS_MAX = 10_000;
/** Processes of which one ForwardTerms tells. */
export const TERMS_MAX = 10_000;
/** Lines of which one PeerState tells. */
export const PEER_LINES_MAX = 1000;
export const RANGES_MAX = 100_000;
/** Ranges of all streams in a Welcome, which has to fit into a frame of FRAME_BYTES_MAX_BEFORE_WELCOME. */
export const WELCOME_RANGES_MAX = 20_000;
export const LIVE_VALUES_MAX = 10_000;
/** Dictionaries that a Hello or a Welcome names. */
export const NAMED_DICTIONARIES_MAX = 1000;
/** JSON bytes of the parameters of a command, or of its answer. */
export const COMMAND_BYTES_MAX = 512 * 1024;

/** Characters of a name of a site, process, station, tag, operator or host. */
export const NAME_CHARACTERS_MAX = 200;
/** Characters of a program version. */
export const VERSION_CHARACTERS_MAX = 100;
/** Characters of a text for people; more is cut off. */
export const REASON_CHARACTERS_MAX = 500;
/** UTF-8 bytes of a value of type text on the live lane. */
export const LIVE_TEXT_BYTES_MAX = 1024 * 1024;

/** Source and device times: from 1970 to the end of 2199, integer µs. No clock is needed to tell. */
export const TIME_MAX_US = 7_258_118_400_000_000;

/** Terms and epochs only count up; one that is ahead by more than this is a mistake or an attack. */
export const COUNTER_JUMP_MAX = 1_000_000;

/** A connection that has not said a right Hello by then is closed. */
export const HELLO_TIMEOUT_MS = 5000;
/** Connections at once: of all, of one remote address, and of one remote address before its Hello. */
export const CONNECTIONS_MAX = 1000;
export const CONNECTIONS_PER_ADDRESS_MAX = 256;
export const GREETINGS_PER_ADDRESS_MAX = 32;

/** Numbers of instances are 1 to this. */
export const INSTANCES_MAX = 15;

/** Kernels of one group. */
export const KERNELS_MAX = 64;
/** Ranges of a stream in one ForwardCoverage. */
export const FORWARDED_RANGES_MAX = 10_000;

/** Processes that a Kernel hears of, and streams of each, since it started. */
export const PROCESSES_MAX = 10_000;
export const STREAMS_PER_PROCESS_MAX = 100_000;

/** Dictionaries of one session that the archive did not have, and their bytes. */
export const NEW_DICTIONARIES_PER_SESSION_MAX = 256;
export const NEW_DICTIONARY_BYTES_PER_SESSION_MAX = 256 * 1024 * 1024;
/** Dictionaries of one process that the archive did not have, since the Kernel started, and their bytes. */
export const NEW_DICTIONARIES_PER_PROCESS_MAX = 4096;
export const NEW_DICTIONARY_BYTES_PER_PROCESS_MAX = 1024 * 1024 * 1024;

/** Gap records of a session: so many at once, then so many a second; a faster sender waits. */
export const GAPS_BURST_MAX = 10_000;
export const GAPS_PER_S_MAX = 1000;

/** What a gap record takes of a Kernel's memory while it waits for its transaction, about. */
export const GAP_MEMORY_BYTES = 512;

/**
 * A counter that only ever grows, as another machine claims it. @throws KomError KOM_LIMIT_EXCEEDED where it
 * is ahead of `known` by more than COUNTER_JUMP_MAX
 */
export function checkedCounter(name: string, claimed: number, known: number): number {
  if (claimed - known <= COUNTER_JUMP_MAX) return claimed;
  throw new KomError('KOM_LIMIT_EXCEEDED', `the claimed ${name} is too far ahead`, {
    expected: `at most ${known + COUNTER_JUMP_MAX}`,
    got: String(claimed),
  });
}
