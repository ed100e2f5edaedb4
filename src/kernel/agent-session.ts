import type { Channel } from '../uplink/channel.ts';
import type { Hello } from '../uplink/messages.ts';
import type { Pace } from '../uplink/silence.ts';
import type { Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
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

/** A process that connects again has lost its old session, though nobody may have noticed. */
export function endReplaced(
  sessions: Iterable<AgentSession>,
  hello: Pick<Hello, 'site' | 'process' | 'instance'>,
  log: Log,
): void {
  for (const { control, data, hello: former } of sessions) {
    const { site, process, instance } = former;
    if (site !== hello.site || process !== hello.process || instance !== hello.instance) continue;
    log.warn(
      { site, process, instance, remote: control.remote },
      'the same instance connected again, its former session ends',
    );
    for (const channel of [control, data]) {
      channel?.bye('replaced', 'the same process and instance connected again');
    }
  }
}
