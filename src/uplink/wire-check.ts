import protobuf from 'protobufjs';
import { KomError } from '../domain/errors.ts';
import { FRAME_FIELDS_MAX } from './limits.ts';
import { FrameType } from './protobuf.ts';

const VARINT_BYTES_MAX = 10;

/** A level of nesting: known message types do not contain themselves, so levels are few. */
interface Level {
  readonly type: protobuf.Type;
  readonly end: number;
}

/**
 * Walks through the fields of a frame without making anything of them, so that what is made afterwards is
 * bounded: a frame has one message, at most FRAME_FIELDS_MAX fields, no groups, and known fields are of
 * their own wire type. @throws KomError KOM_FRAME_INVALID, KOM_LIMIT_EXCEEDED
 */
export function checkWire(payload: Uint8Array): void {
  const cursor = new Cursor(payload);
  const levels: Level[] = [{ type: FrameType, end: payload.length }];
  let messages = 0;
  for (let fields = 0; levels.length > 0; fields++) {
    const level = levels.at(-1) as Level;
    if (cursor.at >= level.end) {
      levels.pop();
      continue;
    }
    if (fields > FRAME_FIELDS_MAX) {
      throw new KomError('KOM_LIMIT_EXCEEDED', `a frame has more than ${FRAME_FIELDS_MAX} fields`);
    }
    const key = cursor.varint();
    const field = level.type.fieldsById[Math.floor(key / 8)];
    const wireType = key % 8;
    if (field !== undefined && wireType !== wireTypeOf(field)) throw invalid('a field is of another type');
    if (levels.length === 1 && field !== undefined && ++messages > 1)
      throw invalid('it holds more than one message');
    const end = cursor.skip(wireType, level.end);
    if (field?.resolvedType instanceof protobuf.Type) {
      cursor.at = end.from;
      levels.push({ type: field.resolvedType, end: end.to });
    }
  }
}

class Cursor {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw invalid('it ends within a number');
      value += (byte & 0x7f) * 2 ** (7 * count);
      if (byte < 0x80) return value;
    }
    throw invalid('a number does not end');
  }

  /** Passes over a value and tells where its content begins and ends. */
  skip(wireType: number, limit: number): { readonly from: number; readonly to: number } {
    let from = this.at;
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.at += 8;
    else if (wireType === 5) this.at += 4;
    else if (wireType === 2) {
      const length = this.varint();
      from = this.at;
      this.at += length;
    } else throw invalid(`wire type ${wireType} is unknown`);
    if (this.at > limit) throw invalid('a field is longer than what holds it');
    return { from, to: this.at };
  }
}

/** Every scalar of the contract has a wire type of its own; enums are numbers. */
function wireTypeOf(field: protobuf.Field): number {
  if (field.resolvedType instanceof protobuf.Enum) return 0;
  if (field.resolvedType !== null) return 2;
  const basic: Readonly<Record<string, number>> = protobuf.types.basic;
  return basic[field.type] ?? 2;
}

function invalid(what: string): KomError {
  return new KomError('KOM_FRAME_INVALID', what);
}
