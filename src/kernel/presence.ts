import type { DecodedBlock } from '../domain/block/block.ts';
import { isSampleAt, valueAt } from '../domain/block/codec.ts';
import { type Coverage, contiguousEnd } from '../domain/coverage.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { isUsable, Quality } from '../domain/quality.ts';
import type { SampleValue } from '../domain/sample.ts';
import type { Heartbeat, Live, StreamState, UplinkState } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import { SettledNumbers, type Unresolved, unresolvedRanges } from './unresolved.ts';

/** An agent that is silent for this long leaves its values as "last usable". */
const SILENCE_MS = 3000;

/** The present value of a tag. */
export interface PresentValue {
  readonly tag: string;
  readonly value: SampleValue;
  readonly quality: number;
  readonly sourceTimeUs: number;
  /** When the Kernel got it, integer µs. */
  readonly receivedAtUs: number;
}

/** At `untilUs` everything of the stream up to `producedTo` had been observed; not yet covered. */
interface Claim {
  readonly streamId: string;
  readonly producedTo: number;
  readonly untilUs: number;
}

/** Beyond so many claims the older half is dropped: the streams then count as observed a little less far. */
const CLAIMS_MAX = 10_000;

interface Held extends PresentValue {
  readonly streamOrdinal: number;
  readonly sequence: number;
}

/**
 * What the Kernel knows of one process of a site besides the archive: who is there, and the present values.
 */
export class ProcessPresence {
  readonly site: string;
  readonly process: string;
  readonly #clock: Clock;
  readonly #values = new Map<string, Held>();
  /**
   * Place of each stream in the chain. Streams are named oldest first, so a new one is behind all known
   * ones.
   */
  readonly #ordinals = new Map<string, number>();
  #streams: readonly StreamState[] = [];
  #heardMs = Number.NEGATIVE_INFINITY;
  #uplinkState: UplinkState = 'outage';
  #isConnected = false;
  #claims: Claim[] = [];
  readonly #observedUntilUs = new Map<string, number>();
  readonly #settled: SettledNumbers;

  constructor(site: string, process: string, clock: Clock) {
    this.site = site;
    this.process = process;
    this.#clock = clock;
    this.#settled = new SettledNumbers(clock);
  }

  /** A control connection greeted with these streams, oldest first. */
  connected(streams: readonly StreamState[]): void {
    this.#isConnected = true;
    this.#streams = streams;
    for (const { streamId } of streams) {
      if (!this.#ordinals.has(streamId)) this.#ordinals.set(streamId, this.#ordinals.size + 1);
    }
    this.#heard();
  }

  disconnected(): void {
    this.#isConnected = false;
  }

  /** Any message of the agent. */
  #heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  heartbeat(heartbeat: Heartbeat): void {
    this.#heard();
    this.#streams = heartbeat.isPartial ? merged(this.#streams, heartbeat.streams) : heartbeat.streams;
    this.#settled.note(this.#streams);
    this.#uplinkState = heartbeat.uplinkState;
    for (const { streamId, producedTo, running } of heartbeat.streams) {
      if (running) this.#claim({ streamId, producedTo, untilUs: heartbeat.observedUntilUs });
    }
  }

  /** The newest claim of one number says the most; so there are as many as steps that are not archived. */
  #claim(claim: Claim): void {
    const last = this.#claims.findLastIndex(({ streamId }) => streamId === claim.streamId);
    if (this.#claims[last]?.producedTo === claim.producedTo) this.#claims.splice(last, 1);
    this.#claims.push(claim);
    if (this.#claims.length > CLAIMS_MAX) this.#claims.splice(0, CLAIMS_MAX / 2);
  }

  /**
   * The archive's coverage of a stream grew: claims that it reaches become how far the stream is observed.
   */
  covered(streamId: string, coverage: Coverage): void {
    const through = contiguousEnd(coverage);
    const reached = this.#claims.filter(
      (claim) => claim.streamId === streamId && claim.producedTo <= through,
    );
    if (reached.length === 0) return;
    this.#claims = this.#claims.filter((claim) => !reached.includes(claim));
    const untilUs = Math.max(
      ...reached.map((claim) => claim.untilUs),
      this.#observedUntilUs.get(streamId) ?? 0,
    );
    this.#observedUntilUs.set(streamId, untilUs);
  }

  /** How far a stream is known to be complete, integer µs; 0 if nothing is known here. */
  observedUntilUs(streamId: string): number {
    return this.#observedUntilUs.get(streamId) ?? 0;
  }

  /** Numbers that were given and are neither archived nor declared nor held, as of the last heartbeat. */
  async unresolved(coverageOf: (streamId: string) => Promise<Coverage>): Promise<Unresolved[]> {
    const { site, process } = this;
    const found = this.#streams.map(async ({ streamId, held }) => {
      const through = this.#settled.through(streamId);
      const ranges = unresolvedRanges(through, { held, coverage: await coverageOf(streamId) });
      return ranges.map((range): Unresolved => ({ site, process, streamId, ...range }));
    });
    return (await Promise.all(found)).flat();
  }

  archived(block: DecodedBlock, dictionary: Dictionary, receivedAtUs: number): void {
    this.#heard();
    const { streamId, firstSequence } = block.header;
    // Backwards: of each tag only the last sample counts.
    const seen = new Uint8Array(dictionary.tags.length);
    for (let at = block.header.count - 1; at >= 0; at--) {
      const tagIndex = block.tagIndexes[at] as number;
      if (seen[tagIndex] !== 0 || !isSampleAt(block, at)) continue;
      seen[tagIndex] = 1;
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag === undefined) continue;
      const held = this.#values.get(tag);
      const sequence = firstSequence + at;
      if (held !== undefined && !this.#isNewer(held, streamId, sequence)) continue;
      this.#hold(streamId, {
        tag,
        sequence,
        value: valueAt(block, at),
        quality: block.qualities[at] as number,
        sourceTimeUs: block.sourceTimesUs[at] as number,
        receivedAtUs,
      });
    }
  }

  live(live: Live, dictionary: Dictionary, receivedAtUs: number): void {
    this.#heard();
    for (const { tagIndex, ...value } of live.values) {
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag === undefined) continue;
      const held = this.#values.get(tag);
      if (held !== undefined && !this.#isNewer(held, live.streamId, value.sequence)) continue;
      this.#hold(live.streamId, { tag, receivedAtUs, ...value });
    }
  }

  /** The present values; those of a silent agent are marked as last usable ones. */
  values(): PresentValue[] {
    const isSilent = !this.#isConnected || this.#clock.monotonicMs() - this.#heardMs > SILENCE_MS;
    return [...this.#values.values()].map(({ tag, value, quality, sourceTimeUs, receivedAtUs }) => ({
      tag,
      value,
      quality: isSilent && isUsable(quality) ? Quality.uncertainLastUsableValue : quality,
      sourceTimeUs,
      receivedAtUs,
    }));
  }

  get status(): {
    readonly isConnected: boolean;
    readonly silentMs: number;
    readonly uplinkState: UplinkState;
    readonly streams: readonly StreamState[];
  } {
    const silentMs = this.#clock.monotonicMs() - this.#heardMs;
    return {
      isConnected: this.#isConnected,
      silentMs,
      uplinkState: this.#uplinkState,
      streams: this.#streams,
    };
  }

  #isNewer(held: Held, streamId: string, sequence: number): boolean {
    const ordinal = this.#ordinal(streamId);
    return ordinal > held.streamOrdinal || (ordinal === held.streamOrdinal && sequence > held.sequence);
  }

  #ordinal(streamId: string): number {
    return this.#ordinals.get(streamId) ?? 0;
  }

  #hold(streamId: string, value: Omit<Held, 'streamOrdinal'>): void {
    this.#values.set(value.tag, { ...value, streamOrdinal: this.#ordinal(streamId) });
  }
}

/** Streams that were not named are as they were. */
function merged(known: readonly StreamState[], changed: readonly StreamState[]): StreamState[] {
  const byId = new Map(changed.map((stream) => [stream.streamId, stream]));
  return known.map((stream) => byId.get(stream.streamId) ?? stream);
}

/** All processes that this Kernel has heard of since it started. */
export class Presence {
  readonly #clock: Clock;
  readonly #processes = new Map<string, ProcessPresence>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(site: string, process: string): ProcessPresence {
    const key = `${site}\n${process}`;
    const known = this.#processes.get(key);
    if (known !== undefined) return known;
    const presence = new ProcessPresence(site, process, this.#clock);
    this.#processes.set(key, presence);
    return presence;
  }

  all(): ProcessPresence[] {
    return [...this.#processes.values()];
  }
}
