import type { ForwardRing } from '../../buffer/forward-ring.ts';
import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import type { ForwardedTerm } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import type { TlsOptions, Transport } from '../../world/transport.ts';
import type { DictionaryShelf } from '../dictionary-shelf.ts';
import type { Ingest } from '../ingest.ts';
import type { LaneGate } from '../lane-gate.ts';
import type { Presence } from '../presence.ts';
import type { ReignKeeper } from './reign-keeper.ts';
import type { ReigningOptions } from './reigning.ts';

/** What a group needs of the machine that it runs on. */
export interface GroupPlace {
  readonly settings: KernelGroupSettings;
  readonly ring: ForwardRing;
  readonly keeper: ReignKeeper;
  readonly transport: Pick<Transport, 'connect'>;
  readonly tls?: TlsOptions;
}

export interface GroupOptions extends GroupPlace {
  readonly archive: Archive;
  readonly ingest: Ingest;
  readonly dictionaries: DictionaryShelf;
  readonly presence: Presence;
  readonly programVersion: string;
  /** Where what agents send is held up. */
  readonly lanes: Pick<LaneGate, 'close' | 'open'>;
  /** This Kernel takes no sessions any more: whoever has one is sent away. */
  readonly dismiss: (why: string) => void;
  /** Another Kernel granted these terms. */
  readonly heardTerms: (terms: readonly ForwardedTerm[]) => void;
  /** This Kernel is hot, and decided nothing before. */
  readonly began: () => void;
  readonly epochRefused: ReigningOptions['epochRefused'];
  /** More of these streams can be acknowledged; `null`: of all. */
  readonly acknowledge: (streamIds: readonly string[] | null) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}
