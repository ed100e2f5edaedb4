import { ByteReader, ByteWriter } from '../bytes.ts';
import { KomError } from '../errors.ts';
import { FIRST_SEQUENCE } from '../stream.ts';
import { NO_TERM } from '../term.ts';
import { BLOCK_BODY_BYTES_MAX, BLOCK_ENTRIES_MAX, type BlockHeader } from './block.ts';

/*
 * The header is the protobuf message BlockHeader of uplink/kernel.proto. It is written by hand here because
 * it is made for every block and the domain imports no package; a test holds it against protobufjs.
 */
const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

/** The message BlockHeader. */
export function encodeHeader(header: BlockHeader): Uint8Array {
  const writer = new ByteWriter(96);
  writeBytes(writer, 1, Buffer.from(header.streamId, 'hex'));
  writeNumber(writer, 2, header.firstSequence);
  writeNumber(writer, 3, header.count);
  writeNumber(writer, 4, header.fromUs);
  writeNumber(writer, 5, header.toUs - header.fromUs);
  writeBytes(writer, 6, Buffer.from(header.dictionaryHash, 'hex'));
  writeNumber(writer, 7, header.sealedMonotonicUs);
  writeNumber(writer, 8, header.codec);
  writeNumber(writer, 9, header.bodyBytes);
  writeNumber(writer, 10, header.isClockUncertain === true ? 1 : 0);
  writeNumber(writer, 11, header.term ?? NO_TERM);
  return writer.view().slice();
}

/** Fields that a later version adds are skipped. @throws KomError KOM_BLOCK_CORRUPT */
export function decodeHeader(bytes: Uint8Array): BlockHeader {
  const reader = new ByteReader(bytes);
  const numbers = new Map<number, number>();
  const texts = new Map<number, string>();
  while (reader.remaining > 0) {
    const key = reader.varint();
    const field = Math.floor(key / 8);
    if (key % 8 === WIRE_VARINT) numbers.set(field, reader.varint());
    else if (key % 8 === WIRE_BYTES)
      texts.set(field, Buffer.from(reader.raw(reader.varint())).toString('hex'));
    else throw new KomError('KOM_BLOCK_CORRUPT', `field ${field} of the header has an unknown wire type`);
  }
  const fromUs = numbers.get(4) ?? 0;
  const term = numbers.get(11) ?? NO_TERM;
  const header: BlockHeader = {
    streamId: texts.get(1) ?? '',
    firstSequence: numbers.get(2) ?? 0,
    count: numbers.get(3) ?? 0,
    fromUs,
    toUs: fromUs + (numbers.get(5) ?? 0),
    dictionaryHash: texts.get(6) ?? '',
    sealedMonotonicUs: numbers.get(7) ?? 0,
    codec: numbers.get(8) ?? 0,
    bodyBytes: numbers.get(9) ?? 0,
    ...((numbers.get(10) ?? 0) === 1 ? { isClockUncertain: true as const } : {}),
    ...(term === NO_TERM ? {} : { term }),
  };
  checkHeader(header);
  return header;
}

function checkHeader(header: BlockHeader): void {
  const wrong =
    header.streamId.length !== 32 || header.dictionaryHash.length !== 32
      ? 'an identity is not 128 bits long'
      : header.firstSequence < FIRST_SEQUENCE ||
          !Number.isSafeInteger(header.firstSequence + BLOCK_ENTRIES_MAX)
        ? 'the first sequence is out of range'
        : header.count < 1 || header.count > BLOCK_ENTRIES_MAX
          ? 'the count is out of range'
          : header.bodyBytes > BLOCK_BODY_BYTES_MAX
            ? 'the body is too large'
            : null;
  if (wrong !== null) throw new KomError('KOM_BLOCK_CORRUPT', wrong);
}

function writeNumber(writer: ByteWriter, field: number, value: number): void {
  if (value === 0) return;
  writer.varint(field * 8 + WIRE_VARINT);
  writer.varint(value);
}

function writeBytes(writer: ByteWriter, field: number, bytes: Uint8Array): void {
  writer.varint(field * 8 + WIRE_BYTES);
  writer.varint(bytes.length);
  writer.raw(bytes);
}
