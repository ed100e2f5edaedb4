import { ByteWriter } from '../bytes.ts';
import type { ClockFix } from '../clock-fix.ts';
import { crc32c } from '../crc32c.ts';
import { invariant } from '../errors.ts';
import {
  type BlockEntry,
  isClockFix,
  isTimeGap,
  SAMPLE_CAUSES,
  type Sample,
  type SampleCause,
  type TimeGap,
} from '../sample.ts';
import {
  BLOCK_ENTRIES_MAX,
  BLOCK_MAGIC_0,
  BLOCK_MAGIC_1,
  BLOCK_PREFIX_BYTES,
  BLOCK_VERSION,
  type Block,
  type BlockHeader,
  ENTRY_CAUSE_SHIFT,
  ENTRY_DEVICE_TIMED,
  ENTRY_KIND_MASK,
  EntryKind,
} from './block.ts';
import { compress } from './compression.ts';
import { encodeHeader } from './header.ts';
import { deltaForward, PreviousValues, writePlanes, xorForward } from './planes.ts';

const CAUSE_BITS = Object.fromEntries(
  SAMPLE_CAUSES.map((cause, code) => [cause, code << ENTRY_CAUSE_SHIFT]),
) as Readonly<Record<SampleCause, number>>;

/** What a block gets when it is sealed. */
export type SealOptions = Pick<
  BlockHeader,
  'streamId' | 'firstSequence' | 'dictionaryHash' | 'sealedMonotonicUs' | 'isClockUncertain'
>;

/** Collects entries by column and seals them into a block. Used again and again: its memory stays. */
export class BlockBuilder {
  #capacity = 256;
  #count = 0;
  /** Earliest start of a time gap. */
  #gapsFromUs = Number.POSITIVE_INFINITY;
  #textBytes = 0;
  #tagIndexMax = 0;
  #tags = new Uint32Array(this.#capacity);
  #times = new Float64Array(this.#capacity);
  #kinds = new Uint8Array(this.#capacity);
  #qualities = new Uint32Array(this.#capacity);
  /** The value of each entry as 64 bits: int64 or float64 by kind. */
  #values = new DataView(new ArrayBuffer(this.#capacity * 8));
  #texts: { at: number; bytes: Uint8Array }[] = [];
  #deviceTimes: { at: number; timeUs: number }[] = [];
  readonly #previous = new PreviousValues();
  readonly #body = new ByteWriter(16_384);

  get count(): number {
    return this.#count;
  }

  /** An estimate from above of the body's size before compression. */
  get bodyBytesMax(): number {
    return this.#count * 24 + this.#textBytes;
  }

  add(entry: BlockEntry): void {
    if (isTimeGap(entry)) this.#addTimeGap(entry);
    else if (isClockFix(entry)) this.#addClockFix(entry);
    else this.#addSample(entry);
  }

  /** Makes the block of all entries added since the last one, and starts anew. */
  seal(options: SealOptions): Block {
    invariant(this.#count > 0, 'a block has at least one entry');
    const { fromUs, toUs } = this.#span();
    const body = this.#encodeBody(fromUs);
    const { codec, bytes } = compress(body);
    const header: BlockHeader = {
      streamId: options.streamId,
      firstSequence: options.firstSequence,
      count: this.#count,
      fromUs,
      toUs,
      dictionaryHash: options.dictionaryHash,
      sealedMonotonicUs: options.sealedMonotonicUs,
      codec,
      bodyBytes: body.length,
      ...(options.isClockUncertain === true ? { isClockUncertain: true as const } : {}),
    };
    const block = { header, bytes: wrap(encodeHeader(header), bytes) };
    this.#count = 0;
    this.#gapsFromUs = Number.POSITIVE_INFINITY;
    this.#textBytes = 0;
    this.#tagIndexMax = 0;
    this.#texts = [];
    this.#deviceTimes = [];
    return block;
  }

  #addSample(sample: Sample): void {
    const at = this.#next(sample.tagIndex, sample.sourceTimeUs);
    const { value } = sample;
    let kind: number = EntryKind.none;
    if (typeof value === 'number') {
      kind = EntryKind.float64;
      this.#values.setFloat64(at * 8, value, true);
    } else if (typeof value === 'bigint') {
      kind = EntryKind.int64;
      this.#values.setBigInt64(at * 8, value, true);
    } else if (typeof value === 'boolean') {
      kind = value ? EntryKind.true : EntryKind.false;
    } else if (value !== null) {
      kind = EntryKind.text;
      this.#addText(at, value);
    }
    const isDeviceTimed = sample.deviceTimeUs === sample.sourceTimeUs;
    this.#kinds[at] = kind | CAUSE_BITS[sample.cause] | (isDeviceTimed ? ENTRY_DEVICE_TIMED : 0);
    this.#qualities[at] = sample.quality;
    if (sample.deviceTimeUs !== undefined && !isDeviceTimed) {
      this.#deviceTimes.push({ at, timeUs: sample.deviceTimeUs });
    }
  }

  #addTimeGap(gap: TimeGap): void {
    const at = this.#next(0, gap.toUs);
    this.#gapsFromUs = Math.min(this.#gapsFromUs, Math.max(0, gap.fromUs));
    this.#kinds[at] = EntryKind.timeGap;
    this.#qualities[at] = 0;
    this.#addText(at, JSON.stringify(gap));
  }

  #addClockFix(fix: ClockFix): void {
    const at = this.#next(0, fix.atUs);
    this.#kinds[at] = EntryKind.clockFix;
    this.#qualities[at] = 0;
    this.#addText(at, JSON.stringify(fix));
  }

  #addText(at: number, text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.#texts.push({ at, bytes });
    this.#textBytes += bytes.length + 8;
  }

  #next(tagIndex: number, timeUs: number): number {
    invariant(this.#count < BLOCK_ENTRIES_MAX, 'a block is sealed before it is over-full');
    invariant(Number.isSafeInteger(timeUs) && timeUs >= 0, 'a source time is an integer number of µs');
    if (this.#count === this.#capacity) this.#grow();
    const at = this.#count++;
    this.#tags[at] = tagIndex;
    this.#times[at] = timeUs;
    if (tagIndex > this.#tagIndexMax) this.#tagIndexMax = tagIndex;
    return at;
  }

  #grow(): void {
    this.#capacity *= 4;
    const grown = <T extends Uint8Array | Uint32Array | Float64Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#tags = grown(this.#tags, new Uint32Array(this.#capacity));
    this.#times = grown(this.#times, new Float64Array(this.#capacity));
    this.#kinds = grown(this.#kinds, new Uint8Array(this.#capacity));
    this.#qualities = grown(this.#qualities, new Uint32Array(this.#capacity));
    const values = new Uint8Array(this.#capacity * 8);
    values.set(new Uint8Array(this.#values.buffer));
    this.#values = new DataView(values.buffer);
  }

  /** Whoever loses the block declares its span: that of the time gaps in it must be inside. */
  #span(): { fromUs: number; toUs: number } {
    let fromUs = this.#gapsFromUs;
    let toUs = 0;
    for (let at = 0; at < this.#count; at++) {
      const timeUs = this.#times[at] as number;
      if (timeUs < fromUs) fromUs = timeUs;
      if (timeUs > toUs) toUs = timeUs;
    }
    return { fromUs, toUs };
  }

  #encodeBody(fromUs: number): Uint8Array {
    const body = this.#body;
    body.reset();
    let previousTag = 0;
    for (let at = 0; at < this.#count; at++) {
      const tag = this.#tags[at] as number;
      body.signedVarint(tag - previousTag);
      previousTag = tag;
    }
    let previousTimeUs = fromUs;
    for (let at = 0; at < this.#count; at++) {
      const timeUs = this.#times[at] as number;
      body.signedVarint(timeUs - previousTimeUs);
      previousTimeUs = timeUs;
    }
    body.raw(this.#kinds.subarray(0, this.#count));
    this.#writeQualities(body);
    this.#writeValues(body, EntryKind.int64);
    this.#writeValues(body, EntryKind.float64);
    this.#writeSparse(body);
    return body.view();
  }

  #writeQualities(body: ByteWriter): void {
    let at = 0;
    while (at < this.#count) {
      const quality = this.#qualities[at] as number;
      let end = at + 1;
      while (end < this.#count && this.#qualities[end] === quality) end++;
      body.varint(end - at);
      body.varint(quality);
      at = end;
    }
  }

  #writeValues(body: ByteWriter, kind: number): void {
    const allHalves = new Uint32Array(this.#count * 2);
    const allTags = new Uint32Array(this.#count);
    let found = 0;
    for (let at = 0; at < this.#count; at++) {
      if (((this.#kinds[at] as number) & ENTRY_KIND_MASK) !== kind) continue;
      allTags[found] = this.#tags[at] as number;
      allHalves[2 * found] = this.#values.getUint32(at * 8, true);
      allHalves[2 * found + 1] = this.#values.getUint32(at * 8 + 4, true);
      found++;
    }
    const halves = allHalves.subarray(0, 2 * found);
    const tags = allTags.subarray(0, found);
    const previous = this.#previous.halvesUpTo(this.#tagIndexMax);
    if (kind === EntryKind.int64) deltaForward(halves, tags, previous);
    else xorForward(halves, tags, previous);
    this.#previous.clear(tags);
    writePlanes(body, halves);
  }

  #writeSparse(body: ByteWriter): void {
    let before = 0;
    for (const { at, bytes } of this.#texts) {
      body.varint(at - before);
      body.varint(bytes.length);
      body.raw(bytes);
      before = at;
    }
    body.varint(this.#deviceTimes.length);
    before = 0;
    for (const { at, timeUs } of this.#deviceTimes) {
      body.varint(at - before);
      body.signedVarint(timeUs - (this.#times[at] as number));
      before = at;
    }
  }
}

function wrap(header: Uint8Array, body: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_PREFIX_BYTES + header.length + body.length);
  const view = new DataView(block.buffer);
  block[0] = BLOCK_MAGIC_0;
  block[1] = BLOCK_MAGIC_1;
  block[2] = BLOCK_VERSION;
  view.setUint32(8, header.length, true);
  block.set(header, BLOCK_PREFIX_BYTES);
  block.set(body, BLOCK_PREFIX_BYTES + header.length);
  view.setUint32(4, crc32c(block.subarray(8)), true);
  return block;
}
