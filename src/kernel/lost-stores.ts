import { describeError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { Hello } from '../uplink/messages.ts';
import type { Archive, ArchivedStream } from '../world/archive.ts';
import type { Log } from '../world/log.ts';
import { beliedEnd } from './belied-end.ts';
import { storeLostGaps } from './chain.ts';
import type { Ingest } from './ingest.ts';
import type { ProcessPresence } from './presence.ts';

/** An agent that is connected, by what it said of its chain. */
export interface Greeted {
  readonly hello: Hello;
  /** By how much this Kernel's clock was ahead of the agent's when the Hello came, µs. */
  readonly aheadUs: number;
  readonly presence: ProcessPresence;
}

export interface LostStoresOptions {
  readonly archive: Archive;
  readonly ingest: Pick<Ingest, 'commit'>;
  /** A connected mirror holds some of the stream: it is not yet known how much is lost. */
  readonly isMirrored: (streamId: string) => boolean;
  readonly log: Log;
}

/** Declares what agents lost and their stores know nothing of: whole streams, and what followed an end. */
export class LostStores {
  readonly #options: LostStoresOptions;

  constructor(options: LostStoresOptions) {
    this.#options = options;
  }

  /** What the chain of an agent omits, and what belies it. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async declare({ hello, aheadUs, presence }: Greeted): Promise<void> {
    const { archive, ingest, isMirrored } = this.#options;
    const streams = await archive.streams(hello.site, hello.process);
    const own = streams.filter((each) => each.instance === hello.instance);
    const unheld = own.filter(({ streamId }) => !isMirrored(streamId));
    const omitted = storeLostGaps(unheld, { ...hello, aheadUs }, (streamId, storedUs) =>
      presence.observedUntilUs(streamId, storedUs),
    );
    const lost = [...omitted, ...beliedEnds(own, presence)];
    if (lost.length > 0) await ingest.commit({ gaps: lost, bytes: 64 * lost.length });
  }

  /** A mirror lists less than before: what it did not bring of a lost store nobody has. */
  lookAgain(agents: readonly Greeted[], { site, process }: Pick<Hello, 'site' | 'process'>): void {
    for (const agent of agents) {
      if (agent.hello.site !== site || agent.hello.process !== process) continue;
      this.declare(agent).catch((error: unknown) => {
        this.#options.log.debug({ error: describeError(error) }, 'what a store lost is declared later');
      });
    }
  }
}

/** Of the streams of one instance. */
function beliedEnds(streams: readonly ArchivedStream[], presence: ProcessPresence): SequenceGap[] {
  const byId = new Map(streams.map((each) => [each.streamId, each]));
  return streams.flatMap((stream) => {
    const { previous } = stream;
    const before = previous?.endedCleanly === true ? byId.get(previous.streamId) : undefined;
    if (before === undefined) return [];
    const { streamId, coverage } = before;
    const heardThrough = presence.heardThrough(streamId);
    const observedUntilUs = presence.observedUntilUs(streamId, before.observedUntilUs);
    return beliedEnd(stream, { coverage, heardThrough, observedUntilUs }) ?? [];
  });
}
