import type { StreamState } from './messages.ts';

/** So often all streams are told, whether they changed or not. */
const FULL_EVERY = 32;

/**
 * What a heartbeat says of the streams: the running ones, and of the others those that changed. A store with
 * a long history would else fill a slow link with what the Kernel knows.
 */
export class StreamChanges {
  #told = new Map<string, string>();
  #count = 0;

  next(streams: readonly StreamState[]): { readonly streams: StreamState[]; readonly isPartial: boolean } {
    const now = new Map(streams.map((stream) => [stream.streamId, JSON.stringify(stream)]));
    const isSameSet = now.size === this.#told.size && [...now.keys()].every((id) => this.#told.has(id));
    const isPartial = isSameSet && this.#count++ % FULL_EVERY !== 0;
    const changed = streams.filter(
      ({ streamId, running }) => running || now.get(streamId) !== this.#told.get(streamId),
    );
    this.#told = now;
    return isPartial ? { streams: changed, isPartial } : { streams: [...streams], isPartial };
  }
}
