import type { Backlog } from '../buffer/backlog.ts';
import type { Offers } from '../buffer/offers.ts';
import type { Poison } from '../buffer/poison.ts';
import type { StreamCoverage, StreamState } from './messages.ts';

/** What delivering blocks needs of whatever holds them. */
export type BlockStore = Pick<
  Backlog,
  | 'state'
  | 'next'
  | 'more'
  | 'rewind'
  | 'gaps'
  | 'dictionary'
  | 'recorded'
  | 'firstBehind'
  | 'regressed'
  | 'find'
  | 'owns'
  | 'reject'
  | 'archived'
  | 'acknowledge'
  | 'linkUp'
  | 'trustLink'
  | 'linkDown'
> & { readonly offers: Pick<Offers, 'manner'> };

/** Where blocks come from. */
export interface BlockSource {
  readonly backlog: BlockStore;
  /** Its live values use these names; not given: it has none. */
  readonly dictionaryHash?: string;
  /** Where blocks go that the Kernel refuses; without it they are a gap only. */
  readonly poison?: Poison;
}

/** Blocks of another instance of the process, to be delivered where the Kernel asks for it. */
export interface UplinkMirror extends BlockSource {
  /** With the instance that each one is of. */
  streams(): StreamState[];
  /** The Kernel wants these delivered from here, and no others. */
  granted(streamIds: readonly string[]): void;
  /** What of the streams is archived, as data or for good: nobody needs to hold it. */
  archivedCoverage(coverage: readonly StreamCoverage[]): void;
}
