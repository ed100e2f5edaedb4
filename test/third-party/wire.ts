/*
 * Frames and protobuf messages, by hand. Written from docs/PROTOCOL.md and kernel.proto alone; nothing here
 * imports anything of the program.
 */

/** Values of one message by field number; a varint as a number, everything with a length as bytes. */
export class Fields {
  readonly #values = new Map<number, (number | Uint8Array)[]>();

  constructor(bytes: Uint8Array) {
    const at = { at: 0 };
    while (at.at < bytes.length) {
      const key = varint(bytes, at);
      this.#add(Math.floor(key / 8), contentOf(bytes, at, key % 8));
    }
  }

  #add(field: number, value: number | Uint8Array): void {
    const values = this.#values.get(field) ?? [];
    values.push(value);
    this.#values.set(field, values);
  }

  has(field: number): boolean {
    return this.#values.has(field);
  }

  get numbers(): number[] {
    return [...this.#values.keys()];
  }

  /** 0 where it is not on the wire. */
  number(field: number): number {
    const value = this.#values.get(field)?.at(-1) ?? 0;
    if (typeof value !== 'number') throw new Error(`field ${field} is no number`);
    if (!Number.isSafeInteger(value)) throw new Error(`field ${field} is 2^53 or more`);
    return value;
  }

  all(field: number): Uint8Array[] {
    return (this.#values.get(field) ?? []).filter((value) => typeof value !== 'number');
  }

  bytes(field: number): Uint8Array {
    return this.all(field).at(-1) ?? new Uint8Array();
  }

  text(field: number): string {
    return Buffer.from(this.bytes(field)).toString('utf8');
  }

  hex(field: number): string {
    return Buffer.from(this.bytes(field)).toString('hex');
  }

  messages(field: number): Fields[] {
    return this.all(field).map((each) => new Fields(each));
  }
}

function varint(bytes: Uint8Array, cursor: { at: number }): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw new Error('a message ends within a number');
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new Error('a number does not end');
}

function contentOf(bytes: Uint8Array, cursor: { at: number }, wireType: number): number | Uint8Array {
  if (wireType === 0) return varint(bytes, cursor);
  const length =
    wireType === 2 ? varint(bytes, cursor) : wireType === 1 ? 8 : wireType === 5 ? 4 : Number.NaN;
  const end = cursor.at + length;
  if (!(end <= bytes.length)) throw new Error('a field is of no known type, or longer than its message');
  const value = bytes.subarray(cursor.at, end);
  cursor.at = end;
  return value;
}

type Value = number | boolean | string | Uint8Array;

/** A message of its fields. Numbers that are 0 and false are left out. */
export function message(fields: readonly (readonly [number, Value])[]): Uint8Array {
  const parts = fields.flatMap(([field, value]): Uint8Array[] => {
    if (typeof value === 'number' || typeof value === 'boolean') {
      return Number(value) === 0 ? [] : [varintBytes(field * 8), varintBytes(Number(value))];
    }
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return [varintBytes(field * 8 + 2), varintBytes(bytes.length), bytes];
  });
  return Buffer.concat(parts);
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}

/** A frame with one message. */
export function frame(field: number, content: Uint8Array): Uint8Array {
  const payload = message([[field, content]]);
  return Buffer.concat([varintBytes(payload.length), payload]);
}

/** Cuts what arrives into the payloads of frames. */
export class Frames {
  #rest: Uint8Array = new Uint8Array();
  bytesMax = 1024 * 1024;

  push(chunk: Uint8Array): Uint8Array[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const payloads: Uint8Array[] = [];
    for (;;) {
      const end = this.#rest.subarray(0, 5).findIndex((byte) => byte < 0x80);
      if (end < 0 && this.#rest.length >= 5) throw new Error('the length of a frame does not end');
      if (end < 0) return payloads;
      const length = varint(this.#rest, { at: 0 });
      if (length > this.bytesMax) throw new Error(`a frame of ${length} bytes`);
      if (this.#rest.length < end + 1 + length) return payloads;
      payloads.push(this.#rest.subarray(end + 1, end + 1 + length));
      this.#rest = this.#rest.subarray(end + 1 + length);
    }
  }
}
