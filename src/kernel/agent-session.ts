import type { Channel } from '../uplink/channel.ts';
import type { Pace } from '../uplink/silence.ts';
import type { Timer } from '../world/clock.ts';
import type { DataLane } from './data-lane.ts';
import type { LiveLane } from './live-lane.ts';
import type { Greeted } from './lost-stores.ts';
import type { InstancePresence } from './presence.ts';

/** What a Kernel keeps of an agent that is connected. */
export interface AgentSession extends Greeted {
  readonly pace: Pace;
  readonly control: Channel;
  data: Channel | null;
  lane: DataLane | null;
  isDataOver: boolean;
  saidGoodbye: boolean;
  /** Ends the data lane of an agent that said goodbye. */
  farewell: Timer | null;
  readonly instance: InstancePresence;
  readonly live: LiveLane;
  readonly streamIds: ReadonlySet<string>;
  /** Those of them that the agent made. */
  readonly ownIds: ReadonlySet<string>;
}
