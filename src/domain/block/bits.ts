/*
 * Bits are laid from the lowest of a byte to its highest, and from byte to byte; a number lies with its
 * lowest bit first.
 */

/** Numbers are cut into pieces of so many bits, so that a piece and what waits fit into 31 bits. */
const PIECE_BITS = 24;
const PIECE = 2 ** PIECE_BITS;

/** Writes bits into bytes that are large enough. */
export class BitSink {
  #bytes: Uint8Array = new Uint8Array(0);
  #position = 0;
  #waiting = 0;
  #waitingBits = 0;

  /** Begins anew, at the start of `bytes`. */
  start(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#position = 0;
    this.#waiting = 0;
    this.#waitingBits = 0;
  }

  /** The lowest `count` bits of `value`, which has no more; `count` is at most 24. */
  put(value: number, count: number): void {
    let waiting = this.#waiting | (value << this.#waitingBits);
    let bits = this.#waitingBits + count;
    while (bits >= 8) {
      this.#bytes[this.#position++] = waiting;
      waiting >>>= 8;
      bits -= 8;
    }
    this.#waiting = waiting;
    this.#waitingBits = bits;
  }

  /** The same with `count` up to 53. */
  putLong(value: number, count: number): void {
    let rest = value;
    let left = count;
    while (left > PIECE_BITS) {
      const above = Math.floor(rest / PIECE);
      this.put(rest - above * PIECE, PIECE_BITS);
      rest = above;
      left -= PIECE_BITS;
    }
    this.put(rest, left);
  }

  /** Fills the last byte with zeros; returns how many bytes were written. */
  finish(): number {
    if (this.#waitingBits > 0) this.#bytes[this.#position++] = this.#waiting;
    this.#waitingBits = 0;
    this.#waiting = 0;
    return this.#position;
  }
}

/** Reads what `BitSink` wrote. Behind the end there are zeros: `bytesRead` tells who went too far. */
export class BitSource {
  readonly #bytes: Uint8Array;
  #position = 0;
  #waiting = 0;
  #waitingBits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A number of `count` bits, at most 24. */
  take(count: number): number {
    this.#fill(count);
    const value = this.#waiting & ((1 << count) - 1);
    this.#waiting >>>= count;
    this.#waitingBits -= count;
    return value;
  }

  /** A number of `count` bits, at most 53. */
  takeLong(count: number): number {
    let value = 0;
    let scale = 1;
    let left = count;
    while (left > PIECE_BITS) {
      value += this.take(PIECE_BITS) * scale;
      scale *= PIECE;
      left -= PIECE_BITS;
    }
    return value + this.take(left) * scale;
  }

  /** Number of ones up to the next zero, which is taken too; or `most` ones, and nothing behind them. */
  takeOnes(most: number): number {
    this.#fill(most);
    // Ones above `most` stop the count; `most` is far below 31.
    const ones = Math.min(31 - Math.clz32(~this.#waiting & -~this.#waiting), most);
    const taken = ones === most ? most : ones + 1;
    this.#waiting >>>= taken;
    this.#waitingBits -= taken;
    return ones;
  }

  /** How many bytes hold the bits that were taken; more than there are: they did not hold them. */
  get bytesRead(): number {
    return this.#position - (this.#waitingBits >> 3);
  }

  #fill(count: number): void {
    while (this.#waitingBits < count) {
      // A missing byte reads as zero.
      this.#waiting |= (this.#bytes[this.#position++] as number) << this.#waitingBits;
      this.#waitingBits += 8;
    }
  }
}
