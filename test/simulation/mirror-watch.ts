import type { SequenceRange } from '../../src/domain/coverage.ts';
import { RangeSet } from '../../src/domain/range-set.ts';
import { decodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { Connection, Transport } from '../../src/world/transport.ts';
import type { AgentHost, AgentRun } from './agent-host.ts';
import type { Find } from './checkers.ts';
import { delegated } from './delegate.ts';

const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** `Frame.mirror_streams`, field 18, as protobuf writes its tag. */
const TAG = [0x92, 0x01];

/** What a mirror had said that it holds, when the server that had numbered it was destroyed. */
interface Bequest {
  readonly atMs: number;
  readonly holder: AgentHost;
  readonly run: AgentRun;
  readonly streamId: string;
  readonly ranges: readonly SequenceRange[];
}

/** Listens to what the mirrors of a pair say, and keeps them to it when the owner's disk is gone. */
export class MirrorWatch {
  /** By holder and stream, what its present run said last. */
  readonly #said = new Map<string, Map<string, { run: number; ranges: readonly SequenceRange[] }>>();
  readonly bequests: Bequest[] = [];

  /** What a comm server is given to speak with. */
  transport(host: string, transport: Transport, runs: () => number): Transport {
    const heard = (connection: Connection): Connection =>
      delegated(connection, {
        [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
        send: (bytes) => {
          this.#hear(host, bytes, runs());
          return connection.send(bytes);
        },
      });
    return {
      ...transport,
      connect: async (address, options) => heard(await transport.connect(address, options)),
      listen: (address, accept, options) =>
        transport.listen(address, (connection) => accept(heard(connection)), options),
    };
  }

  /** A server and its disk are about to be no more. */
  destroyed(owner: AgentHost, holder: AgentHost, atMs: number): void {
    const { run } = holder;
    if (run === undefined) return;
    const own = new Set(owner.runs.flatMap(({ streamIds }) => [...streamIds.values()]));
    for (const [streamId, said] of this.#said.get(holder.name) ?? []) {
      if (said.run !== holder.runs.length || !own.has(streamId)) continue;
      this.bequests.push({ atMs, holder, run, streamId, ranges: said.ranges });
    }
  }

  /** What was held at the end of its owner is in the archive, unless its holder was cut off later. */
  async check(archive: SimulatedArchive, find: Find): Promise<void> {
    for (const { holder, run, streamId, ranges, atMs } of this.bequests) {
      if (run.end === 'killed' || run.end === 'power-cut') continue;
      const data = (await archive.coverage(streamId)).filter(({ state }) => state === 'data');
      const known = new RangeSet(data.map(({ first, last }) => ({ first, last })));
      const missing = ranges.flatMap((range) => known.missing(range));
      if (missing.length === 0) continue;
      const shown = missing.map(({ first, last }) => `${first}-${last}`).join(', ');
      find(
        `${holder.name} said that it holds numbers ${shown} of ${streamId.slice(0, 8)}, whose server was ` +
          `destroyed at ${atMs / 1000} s, and they are not in the archive`,
      );
    }
  }

  #hear(host: string, bytes: Uint8Array, run: number): void {
    const [payload] = new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
    if (payload === undefined || TAG.some((byte, at) => payload[at] !== byte)) return;
    const message = decodeMessage(payload);
    if (message.type !== 'mirrorStreams') return;
    const said = this.#said.get(host) ?? new Map();
    this.#said.set(host, said);
    for (const { streamId, ownerInstance, held } of message.streams) {
      if (ownerInstance !== undefined && ownerInstance !== 0) said.set(streamId, { run, ranges: held });
    }
  }
}
