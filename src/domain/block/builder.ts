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
import { NO_TERM } from '../term.ts';
import {
  BLOCK_ENTRIES_MAX,
  BLOCK_MAGIC_0,
  BLOCK_MAGIC_1,
  BLOCK_PREFIX_BYTES,
  BLOCK_VERSION,
  type Block,
  type BlockHeader,
  type DecodedBlock,
  ENTRY_CAUSE_SHIFT,
  ENTRY_DEVICE_TIMED,
  ENTRY_KIND_MASK,
  EntryKind,
} from './block.ts';
import { writeBody } from './body-writer.ts';
import { compress } from './compression.ts';
import { encodeHeader } from './header.ts';

const CAUSE_BITS = Object.fromEntries(
  SAMPLE_CAUSES.map((cause, code) => [cause, code << ENTRY_CAUSE_SHIFT]),
) as Readonly<Record<SampleCause, number>>;

/** What a block gets when it is sealed. */
export type SealOptions = Pick<
  BlockHeader,
  'streamId' | 'firstSequence' | 'dictionaryHash' | 'sealedMonotonicUs' | 'isClockUncertain' | 'term'
>;

/** Collects entries by column and seals them into a block. Used again and again: its memory stays. */
export class BlockBuilder {
  #capacity = 256;
  #count = 0;
  /** Earliest start of a time gap. */
  #gapsFromUs = Number.POSITIVE_INFINITY;
  #textBytes = 0;
  #tags = new Uint32Array(this.#capacity);
  #times = new Float64Array(this.#capacity);
  #kinds = new Uint8Array(this.#capacity);
  #qualities = new Uint32Array(this.#capacity);
  /** The value of each entry as 64 bits: int64 or float64 by kind. */
  #values = new DataView(new ArrayBuffer(this.#capacity * 8));
  #texts: Uint8Array[] = [];
  #deviceTimes: { at: number; timeUs: number }[] = [];
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

  /** Adds every entry of a block as it is. */
  addBlock(block: DecodedBlock): void {
    const { count, fromUs } = block.header;
    const start = this.#count;
    invariant(start + count <= BLOCK_ENTRIES_MAX, 'a block is sealed before it is over-full');
    while (this.#capacity < start + count) this.#grow();
    this.#count += count;
    // No entry is earlier, nor does a time gap begin earlier.
    this.#gapsFromUs = Math.min(this.#gapsFromUs, fromUs);
    this.#tags.set(block.tagIndexes, start);
    this.#times.set(block.sourceTimesUs, start);
    this.#kinds.set(block.kinds, start);
    this.#qualities.set(block.qualities, start);
    for (let at = 0; at < count; at++) {
      const place = (start + at) * 8;
      const kind = (block.kinds[at] as number) & ENTRY_KIND_MASK;
      if (kind === EntryKind.float64) this.#values.setFloat64(place, block.floats[at] as number, true);
      else if (kind === EntryKind.int64) this.#values.setBigInt64(place, block.integers[at] as bigint, true);
      else if (kind >= EntryKind.text) this.#addText(block.texts.get(at) ?? '');
    }
    for (const [at, timeUs] of block.deviceTimesUs) {
      if (timeUs === block.sourceTimesUs[at]) {
        this.#kinds[start + at] = (block.kinds[at] as number) | ENTRY_DEVICE_TIMED;
      } else this.#deviceTimes.push({ at: start + at, timeUs });
    }
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
      ...(options.term === undefined || options.term === NO_TERM ? {} : { term: options.term }),
    };
    const block = { header, bytes: wrap(encodeHeader(header), bytes) };
    this.clear();
    return block;
  }

  /** Forgets what was added. */
  clear(): void {
    this.#count = 0;
    this.#gapsFromUs = Number.POSITIVE_INFINITY;
    this.#textBytes = 0;
    this.#texts = [];
    this.#deviceTimes = [];
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
      this.#addText(value);
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
    this.#addText(JSON.stringify(gap));
  }

  #addClockFix(fix: ClockFix): void {
    const at = this.#next(0, fix.atUs);
    this.#kinds[at] = EntryKind.clockFix;
    this.#qualities[at] = 0;
    this.#addText(JSON.stringify(fix));
  }

  #addText(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.#texts.push(bytes);
    this.#textBytes += bytes.length + 8;
  }

  #next(tagIndex: number, timeUs: number): number {
    invariant(this.#count < BLOCK_ENTRIES_MAX, 'a block is sealed before it is over-full');
    invariant(Number.isSafeInteger(timeUs) && timeUs >= 0, 'a source time is an integer number of µs');
    if (this.#count === this.#capacity) this.#grow();
    const at = this.#count++;
    this.#tags[at] = tagIndex;
    this.#times[at] = timeUs;
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
    writeBody(body, {
      tagIndexes: this.#tags.subarray(0, this.#count),
      times: this.#times.subarray(0, this.#count),
      kinds: this.#kinds.subarray(0, this.#count),
      qualities: this.#qualities.subarray(0, this.#count),
      values: this.#values,
      texts: this.#texts,
      deviceTimes: this.#deviceTimes,
      fromUs,
    });
    return body.view();
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
