import { joinBytes } from '../domain/bytes.ts';
import { KomError } from '../domain/errors.ts';

/** A frame: the length of `payload` as a varint, then `payload`. */
export function frame(payload: Uint8Array): Uint8Array {
  const prefix: number[] = [];
  let rest = payload.length;
  while (rest >= 0x80) {
    prefix.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  prefix.push(rest);
  const framed = new Uint8Array(prefix.length + payload.length);
  framed.set(prefix);
  framed.set(payload, prefix.length);
  return framed;
}

/**
 * Cuts a byte stream into frames. Holds at most one unfinished frame, whose memory grows with what really
 * arrived and not with what its prefix claims.
 */
export class FrameSplitter {
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;
  frameBytesMax: number;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  /** The payloads that `bytes` completes. @throws KomError KOM_FRAME_TOO_LARGE, KOM_FRAME_INVALID */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#pieces.push(bytes);
    this.#heldBytes += bytes.length;
    const payloads: Uint8Array[] = [];
    while (true) {
      const prefix = this.#readPrefix();
      if (prefix === null || this.#heldBytes < prefix.prefixBytes + prefix.payloadBytes) return payloads;
      const whole = this.#joined();
      const end = prefix.prefixBytes + prefix.payloadBytes;
      payloads.push(whole.subarray(prefix.prefixBytes, end));
      this.#pieces = end < whole.length ? [whole.subarray(end)] : [];
      this.#heldBytes = whole.length - end;
    }
  }

  #readPrefix(): { prefixBytes: number; payloadBytes: number } | null {
    if (this.#heldBytes === 0) return null;
    if ((this.#pieces[0]?.length ?? 0) < Math.min(5, this.#heldBytes)) this.#joined();
    const head = this.#pieces[0] ?? new Uint8Array();
    let payloadBytes = 0;
    for (let at = 0; at < 5; at++) {
      const byte = head[at];
      if (byte === undefined) return null;
      payloadBytes += (byte & 0x7f) * 2 ** (7 * at);
      if (byte < 0x80) return this.#checked({ prefixBytes: at + 1, payloadBytes });
    }
    throw new KomError('KOM_FRAME_INVALID', 'a length prefix does not end');
  }

  #checked(prefix: { prefixBytes: number; payloadBytes: number }): typeof prefix {
    if (prefix.payloadBytes > this.frameBytesMax) {
      throw new KomError('KOM_FRAME_TOO_LARGE', 'a length prefix', {
        expected: `at most ${this.frameBytesMax} bytes`,
        got: String(prefix.payloadBytes),
      });
    }
    return prefix;
  }

  #joined(): Uint8Array {
    if (this.#pieces.length > 1) this.#pieces = [joinBytes(this.#pieces)];
    return this.#pieces[0] ?? new Uint8Array();
  }
}
