import { type DecodedBlock, ENTRY_KIND_MASK, EntryKind } from '../../../domain/block/block.ts';
import { FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from '../sample-flags.ts';
import { withoutNul } from './connection.ts';

/** The header of COPY's binary format: signature, no flags, no extension. */
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);
/** Columns of a row, see `SAMPLE_COLUMNS`. */
const FIELDS = 13;
/** Bytes that a row takes at most, its text apart. */
const ROW_BYTES_MAX = 200;
const CHUNK_BYTES = 256 * 1024;
/** PostgreSQL counts its times from 2000-01-01. µs */
const EPOCH_US = Date.UTC(2000, 0) * 1000;
const NULL = -1;

/** What the rows of a block have in common. */
export interface BlockOfRows {
  readonly block: DecodedBlock;
  /** Small id of the stream. */
  readonly stream: number;
  readonly receivedAtUs: number;
  /** Bits of `Mark`. */
  readonly marks: number;
}

/** Writes rows of samples in the binary format of COPY, which the server reads without parsing texts. */
export class CopyRows {
  #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #at = 0;

  constructor() {
    this.#at = HEADER.copy(this.#buffer);
  }

  /** What is to be sent before more rows are added; `null`: there is room. */
  take(): Uint8Array | null {
    return this.#at + ROW_BYTES_MAX > CHUNK_BYTES ? this.#handOver() : null;
  }

  /** What is left, with the end of the format. */
  end(): Uint8Array {
    this.#reserve(TRAILER.length);
    this.#at += TRAILER.copy(this.#buffer, this.#at);
    return this.#handOver();
  }

  /** The entry at a position of a block. `timeUs`: its source time, corrected. */
  add(of: BlockOfRows, at: number, row: { readonly tag: number; readonly timeUs: number }): void {
    const { block, stream, receivedAtUs, marks } = of;
    const entry = block.kinds[at] as number;
    const deviceUs = block.deviceTimesUs.get(at);
    const isDeviceTimed = deviceUs === block.sourceTimesUs[at];
    this.#reserve(ROW_BYTES_MAX);
    this.#at = this.#buffer.writeInt16BE(FIELDS, this.#at);
    this.#int32(row.tag);
    this.#int64(row.timeUs - EPOCH_US);
    this.#int64(receivedAtUs - EPOCH_US);
    this.#int64(block.qualities[at] as number);
    this.#int64(block.header.firstSequence + at);
    this.#int32(stream);
    const flags = entry | (isDeviceTimed ? FLAGS_DEVICE_TIMED : 0) | (marks << FLAGS_MARKS_SHIFT);
    this.#length(2);
    this.#at = this.#buffer.writeInt16BE(flags, this.#at);
    if (deviceUs === undefined || isDeviceTimed) this.#length(NULL);
    else this.#int64(deviceUs - EPOCH_US);
    this.#value(block, at, entry & ENTRY_KIND_MASK);
  }

  /** One of the five columns of values; the others are null. */
  #value(block: DecodedBlock, at: number, kind: number): void {
    if (kind === EntryKind.true || kind === EntryKind.false) {
      this.#length(1);
      this.#buffer[this.#at++] = kind === EntryKind.true ? 1 : 0;
    } else this.#length(NULL);
    if (kind === EntryKind.int64) {
      this.#length(8);
      this.#at = this.#buffer.writeBigInt64BE(block.integers[at] as bigint, this.#at);
    } else this.#length(NULL);
    if (kind === EntryKind.float64) {
      this.#length(8);
      this.#at = this.#buffer.writeDoubleBE(block.floats[at] as number, this.#at);
    } else this.#length(NULL);
    if (kind === EntryKind.text) this.#text(block.texts.get(at) ?? '');
    else {
      this.#length(NULL);
      this.#length(NULL);
    }
  }

  /** `value_text`, and `value_bytes` where that is not the whole truth. */
  #text(text: string): void {
    const shown = withoutNul(text);
    this.#bytes(Buffer.from(shown));
    if (shown === text) this.#length(NULL);
    else this.#bytes(Buffer.from(text));
  }

  #bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length + ROW_BYTES_MAX);
    this.#length(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #int32(value: number): void {
    this.#length(4);
    this.#at = this.#buffer.writeInt32BE(value, this.#at);
  }

  /** An integer below 2^53 either way. */
  #int64(value: number): void {
    this.#length(8);
    const high = Math.floor(value / 0x1_0000_0000);
    this.#at = this.#buffer.writeInt32BE(high, this.#at);
    this.#at = this.#buffer.writeUInt32BE(value - high * 0x1_0000_0000, this.#at);
  }

  #length(bytes: number): void {
    this.#at = this.#buffer.writeInt32BE(bytes, this.#at);
  }

  /** A long text makes its chunk longer. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(this.#at + bytes);
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }

  #handOver(): Uint8Array {
    const chunk = this.#buffer.subarray(0, this.#at);
    this.#buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#at = 0;
    return chunk;
  }
}
