import { contiguousEnd } from '../../domain/coverage.ts';
import type { ForwardStream } from '../../uplink/messages.ts';
import type { Archive, ArchivedStream } from '../../world/archive.ts';

/** Streams named in one message. */
const NAMED_MAX = 500;

/** The streams of an archive, with what a taker was told of them and whether it answered. */
export class StreamList {
  readonly #archive: Pick<Archive, 'streams' | 'tags'>;
  readonly #streams = new Map<string, ForwardStream>();
  /** Those of which a taker was not told what is known now. */
  readonly #untold = new Set<string>();
  readonly #answered = new Set<string>();
  readonly #processes = new Map<string, { readonly site: string; readonly process: string }>();

  constructor(archive: Pick<Archive, 'streams' | 'tags'>) {
    this.#archive = archive;
  }

  get ids(): Iterable<string> {
    return this.#streams.keys();
  }

  /** Every stream that is known was answered. */
  get isAnswered(): boolean {
    return this.#answered.size >= this.#streams.size;
  }

  isAnsweredOf(streamId: string): boolean {
    return this.#answered.has(streamId);
  }

  of(streamId: string): ForwardStream | undefined {
    return this.#streams.get(streamId);
  }

  knows(site: string, process: string): void {
    this.#processes.set(
      `${site}
${process}`,
      { site, process },
    );
  }

  /**
   * Reads the streams of all processes that are known; `isFirst`: and looks which there are.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE
   */
  async load(isFirst: boolean): Promise<void> {
    if (isFirst) for (const { site, process } of await this.#archive.tags()) this.knows(site, process);
    for (const { site, process } of this.#processes.values()) {
      for (const stream of await this.#archive.streams(site, process)) {
        this.#learn(described(stream));
      }
    }
  }

  /** Streams of which a taker was not told what is known now, some of them. */
  untold(): ForwardStream[] {
    const untold: ForwardStream[] = [];
    for (const streamId of this.#untold) {
      const stream = this.#streams.get(streamId);
      if (stream !== undefined) untold.push(stream);
      if (untold.length >= NAMED_MAX) break;
    }
    return untold;
  }

  told(streams: readonly ForwardStream[]): void {
    for (const { streamId } of streams) this.#untold.delete(streamId);
  }

  answered(streamId: string): void {
    if (this.#streams.has(streamId)) this.#answered.add(streamId);
  }

  /** Nothing was told and nothing was answered. */
  forget(): void {
    for (const streamId of this.#streams.keys()) this.#untold.add(streamId);
    this.#answered.clear();
  }

  #learn(stream: ForwardStream): void {
    const known = this.#streams.get(stream.streamId);
    if (known !== undefined && isSame(known, stream)) return;
    this.#streams.set(stream.streamId, stream);
    this.#untold.add(stream.streamId);
  }
}

/** What of a stream may change. */
function isSame(one: ForwardStream, other: ForwardStream): boolean {
  return (
    one.observedUntilUs === other.observedUntilUs &&
    one.observedSequence === other.observedSequence &&
    one.startedAtUs === other.startedAtUs &&
    one.ended?.atUs === other.ended?.atUs &&
    one.ended?.lastSequence === other.ended?.lastSequence
  );
}

function described(stream: ArchivedStream): ForwardStream {
  const { streamId, bootId, startedAtUs, previous, site, process, instance } = stream;
  const { observedUntilUs, coverage, endedAtUs, endedSequence } = stream;
  return {
    ...{ streamId, bootId, startedAtUs, previous, site, process, instance },
    ...{ observedUntilUs, observedSequence: contiguousEnd(coverage) },
    ended:
      endedAtUs === null || endedSequence === null ? null : { atUs: endedAtUs, lastSequence: endedSequence },
  };
}
