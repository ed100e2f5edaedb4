import { isKomError, KomError } from '../domain/errors.ts';
import type { Channel } from '../uplink/channel.ts';
import type { ClockEcho, CommandResult, Heartbeat, Message, StreamState } from '../uplink/messages.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import { settledCoverage } from './chain.ts';
import type { Seat } from './lease-desk.ts';
import type { LiveLane } from './live-lane.ts';
import type { InstancePresence, ProcessPresence } from './presence.ts';

/** So many messages may wait for the archive; then the lane is not read. */
const WAITING_MAX = 64;

export interface ControlLaneOptions {
  readonly channel: Channel;
  readonly archive: Pick<Archive, 'coverage'>;
  readonly presence: ProcessPresence;
  readonly instance: InstancePresence;
  readonly live: LiveLane;
  /** `null`: the agent speaks a version without leases. */
  readonly seat: Seat | null;
  readonly answered: (result: CommandResult) => void;
  /** The agent lists what it mirrors. @throws KomError KOM_LIMIT_EXCEEDED */
  readonly mirrored: (streams: readonly StreamState[]) => void;
  readonly clock: Clock;
}

/** The Kernel's end of a control lane. A lease is answered at once, whatever the archive does meanwhile. */
export class ControlLane {
  readonly #options: ControlLaneOptions;
  #echo: ClockEcho | null = null;
  /** What needs the archive is done one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #failed: unknown = null;

  constructor(options: ControlLaneOptions) {
    this.#options = options;
  }

  /** For the agent to learn this Kernel's clock from. */
  get echo(): ClockEcho | null {
    return this.#echo;
  }

  /**
   * Until the agent closes; whether it said goodbye. @throws KomError for what is not of the protocol, and
   * when the connection breaks
   */
  async run(): Promise<boolean> {
    const { channel } = this.#options;
    while (true) {
      const message = await channel.receive().catch((error: unknown) => {
        throw this.#failed ?? error;
      });
      if (this.#failed !== null) throw this.#failed;
      if (message === null || message.type === 'bye') {
        await this.#turn;
        return message !== null;
      }
      this.#take(message);
      while (this.#waiting >= WAITING_MAX) await this.#turn;
    }
  }

  #take(message: Message): void {
    const { seat, answered, mirrored, instance, live } = this.#options;
    if (message.type === 'heartbeat') this.#heartbeat(message.heartbeat);
    else if (message.type === 'live') this.#later(() => live.show(message.live));
    else if (message.type === 'commandResult') answered(message.result);
    else if (message.type === 'mirrorStreams' && seat !== null) mirrored(message.streams);
    else if (message.type === 'leaseRenewal' && seat !== null) {
      seat.claimed(message.echoUs, message.claim);
      instance.claimed(message.claim.ownTerm);
    } else throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} on the control lane`);
  }

  #heartbeat(heartbeat: Heartbeat): void {
    const { presence, instance, clock, archive } = this.#options;
    const { monotonicUs } = heartbeat;
    if (monotonicUs !== undefined) this.#echo = { monotonicUs, receivedUs: clock.wallUs() };
    instance.heartbeat(heartbeat);
    this.#later(async () => {
      try {
        for (const { streamId, running } of heartbeat.streams) {
          if (running) presence.covered(streamId, settledCoverage(await archive.coverage(streamId), true));
        }
      } catch (error) {
        // An archive that cannot be asked now ends no session: it is asked at the next heartbeat.
        if (!isKomError(error, 'KOM_ARCHIVE_UNAVAILABLE')) throw error;
      }
    });
  }

  #later(work: () => Promise<void>): void {
    this.#waiting++;
    this.#turn = this.#turn
      .then(work)
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#options.channel.destroy();
      })
      .finally(() => {
        this.#waiting--;
      });
  }
}
