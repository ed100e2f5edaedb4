/**
 * Operating errors: things that happen to a correct program (a cut cable, a wrong file, a full disk).
 * They carry a stable code, what was expected, what came, and what to do. A broken invariant of our own
 * is not an operating error: it goes through `invariant` and crashes the process.
 */
export const ERROR_TEXTS = {
  KOM_CONFIG_INVALID: 'the configuration is not usable',
  KOM_CONFIG_UNREADABLE: 'the configuration file cannot be read',
  KOM_BLOCK_CORRUPT: 'a block does not decode',
  KOM_DICTIONARY_CORRUPT: 'a dictionary does not decode or does not match its name',
  KOM_FRAME_INVALID: 'a frame on the uplink is not of the protocol',
  KOM_FRAME_TOO_LARGE: 'a frame on the uplink is larger than allowed',
  KOM_LIMIT_EXCEEDED: 'the other side went beyond a limit',
  KOM_PROTOCOL_VERSION: 'the other side speaks no protocol version of ours',
  KOM_PROTOCOL_STATE: 'a message came that is not allowed at this point of the session',
  KOM_CONNECTION_REFUSED: 'the connection was refused',
  KOM_LISTEN: 'this address cannot be listened on',
  KOM_CONNECTION_UNREACHABLE: 'the other side cannot be reached',
  KOM_CONNECTION_LOST: 'the connection was lost',
  KOM_CONNECTION_TIMEOUT: 'the other side did not answer in time',
  KOM_TLS_FILE: 'a file of keys or certificates is not usable',
  KOM_TLS_KEY: 'a key is not that of its certificate',
  KOM_TLS_UNKNOWN_CA: 'a certificate was not issued by an authority that is trusted here',
  KOM_TLS_EXPIRED: 'a certificate has expired',
  KOM_TLS_NOT_YET_VALID: 'a certificate is not valid yet',
  KOM_TLS_REVOKED: 'a certificate was revoked',
  KOM_TLS_IDENTITY: 'a certificate does not speak for who shows it',
  KOM_TLS_NO_CERTIFICATE: 'the other side shows no certificate',
  KOM_TLS_PLAINTEXT: 'one side speaks TLS and the other does not',
  KOM_TLS_HANDSHAKE: 'the TLS handshake failed',
  KOM_KERNEL_STANDBY: 'this Kernel takes no sessions now',
  KOM_AGENT_UNKNOWN: 'this Kernel does not know the agent',
  KOM_STORE_OPEN: 'a store does not open',
  KOM_STORE_WRITE: 'a store does not take a write',
  KOM_STORE_READ: 'a store does not give a value',
  KOM_STORE_CLOSED: 'a store was used after it was closed',
  KOM_STORE_LOCKED: 'another process holds the store',
  KOM_STORE_DENIED: 'this process may not use the store',
  KOM_DEVICE_UNREACHABLE: 'the device cannot be reached',
  KOM_DEVICE_TIMEOUT: 'the device did not answer in time',
  KOM_LINE_IN_USE: 'somebody else uses a line that takes one client',
  KOM_DEVICE_REJECTED: 'the device refused the request',
  KOM_ARCHIVE_UNAVAILABLE: 'the archive does not take a transaction',
  KOM_OUTPUT: 'what is printed cannot be written',
  KOM_SWITCH_REFUSED: 'the switch is refused, and nothing has changed',
  KOM_SWITCH_UNCONFIRMED: 'the switch is done, and not confirmed',
  KOM_USAGE: 'the command line is not usable',
  KOM_NOT_RUNNING: 'no running process answers on the control socket',
  KOM_ALREADY_RUNNING: 'another process already does this job',
} as const;

/** Every code an operating error of this program can carry. */
export type ErrorCode = keyof typeof ERROR_TEXTS;

/** What the reader of an error needs beyond its code. */
export interface ErrorDetail {
  /** What would have been right. */
  readonly expected?: string;
  /** What came instead. */
  readonly got?: string;
  /** What the reader can do. */
  readonly hint?: string;
  /** It belongs to an ordinary day, and is no fault of anything. */
  readonly isOrdinary?: true;
  readonly cause?: unknown;
}

/** An operating error with a stable code; see `ERROR_TEXTS` for the list. */
export class KomError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, what: string, detail: ErrorDetail = {}) {
    const parts = [`${ERROR_TEXTS[code]}: ${what}`];
    if (detail.expected !== undefined) parts.push(`expected ${detail.expected}`);
    if (detail.got !== undefined) parts.push(`got ${detail.got}`);
    if (detail.hint !== undefined) parts.push(detail.hint);
    super(parts.join('; '), { cause: detail.cause });
    this.name = 'KomError';
    this.code = code;
    this.detail = detail;
  }
}

/** True for an operating error of this program, optionally of one code. */
export function isKomError(error: unknown, code?: ErrorCode): error is KomError {
  return error instanceof KomError && (code === undefined || error.code === code);
}

/** What an error says beyond the text of its code, for where that is said already. */
export function reasonOf(error: unknown): string {
  const message = describeError(error);
  return isKomError(error) ? message.slice(`${ERROR_TEXTS[error.code]}: `.length) : message;
}

/** The text of anything that was thrown, for a log line or a cause. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error that was told from elsewhere, with its whole text, which says already what its code means. */
export function toldError({
  code,
  message,
}: {
  readonly code: ErrorCode;
  readonly message: string;
}): KomError {
  const meaning = `${ERROR_TEXTS[code]}: `;
  return new KomError(code, message.startsWith(meaning) ? message.slice(meaning.length) : message);
}

/**
 * Asserts a rule that only a bug of ours can break; the process must not go on with it broken. Where the rule
 * is looked at all the time and names figures it is a function, which is called when it is broken.
 */
export function invariant(condition: unknown, rule: string | (() => string)): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${typeof rule === 'string' ? rule : rule()}`);
}
