/**
 * What others may say to an uplink's port, by how it begins. No frame begins so: behind its length comes the
 * tag of a field that holds a message, which none of these is.
 */
const BEGINNINGS: readonly (readonly [RegExp, string])[] = [
  [/^(GET|PUT|HEAD|POST|TRACE|PATCH|DELETE|OPTIONS|CONNECT) /, 'an HTTP request'],
  [/^PRI \*/, 'an HTTP/2 request'],
  [/^SSH-/, 'an SSH client'],
];
const BEGINNING_BYTES = 8;
/** RFC 8446, section 5.1: a record of type handshake, and the major version that never changes. */
const TLS_RECORD = [0x16, 0x03];

/** What the first bytes of a connection look like, if it is something well known; else `null`. */
export function foreignProtocol(bytes: Uint8Array): string | null {
  if (TLS_RECORD.every((byte, at) => bytes[at] === byte)) return 'a TLS handshake';
  const beginning = Buffer.from(bytes.subarray(0, BEGINNING_BYTES)).toString('latin1');
  return BEGINNINGS.find(([pattern]) => pattern.test(beginning))?.[1] ?? null;
}
