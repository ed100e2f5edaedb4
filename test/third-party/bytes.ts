/** Reads the columns of a block from the front. */
export class Bytes {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw new Error('a column ends early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 56; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a number does not end');
  }

  svarint(): number {
    return unzigzag(this.varint());
  }

  utf8(length: number): string {
    return Buffer.from(this.take(length)).toString('utf8');
  }

  /** So many numbers of 64 bits: all lowest bytes, then all second ones, and so on. */
  planes(count: number): bigint[] {
    const planes = this.take(8 * count);
    return Array.from({ length: count }, (_, at) => {
      let value = 0n;
      for (let plane = 7; plane >= 0; plane--) value = value * 256n + BigInt(planes[plane * count + at] ?? 0);
      return value;
    });
  }

  /** A reader of the bits from here on; `close` goes on behind the last byte that was touched. */
  bits(): { take(width: number): number; close(): void } {
    let bit = 0;
    const next = (): number => {
      const byte = this.#bytes[this.#at + (bit >> 3)];
      if (byte === undefined) throw new Error('a column ends early');
      return (byte >> (bit++ & 7)) & 1;
    };
    return {
      take: (width) => {
        let value = 0;
        for (let at = 0; at < width; at++) value += next() * 2 ** at;
        return value;
      },
      close: () => void this.take(Math.ceil(bit / 8)),
    };
  }
}

export function unzigzag(coded: number): number {
  return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
}
