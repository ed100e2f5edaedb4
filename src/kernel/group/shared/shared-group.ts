import { describeError, isKomError, KomError } from '../../../domain/errors.ts';
import type { Channel } from '../../../uplink/channel.ts';
import { checkedCounter } from '../../../uplink/limits.ts';
import type { KernelWord } from '../../../uplink/messages.ts';
import type { Pace } from '../../../uplink/silence.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import {
  NameTakenError,
  type RoleSession,
  type RoleView,
  type SharedArchive,
  type SharedReign,
} from '../../../world/shared-archive.ts';
import type { KernelRole, Switchable } from '../../kernel-role.ts';
import { standby } from '../group-status.ts';
import { checkNotCancelled } from '../hand-over.ts';
import { unconfirmed, waitFor } from '../wait-for.ts';
import { Watchers } from '../watchers.ts';
import { type RoleEvent, type RoleState, reaches, startRole, stepRole } from './role.ts';
import type { RoleNotes } from './role-notes.ts';
import type { SharedStatus } from './shared-status.ts';

/** How often is looked who has the lock. */
const LOOK_MS = 250;
/** A session that did not come about is tried again then. */
const RETRY_MS = 500;
/** What was seen so long ago proves nothing: the lock may have gone to another Kernel. */
const PROOF_MAX_MS = 3500;
/** Another Kernel has so long to say that it is hot. */
const ANSWER_MAX_MS = 15_000;

/** What a Kernel does when it becomes hot, and when it is not any more. */
export interface Serving {
  /** Opens everything anew, from what the archive has now. @throws KomError: it cannot be hot */
  begin(reign: SharedReign): Promise<void>;
  /**
   * Sends the agents away; when it resolves, what they brought is archived.
   * @throws KomError KOM_SWITCH_REFUSED
   */
  drain(why: string): Promise<void>;
  /** Sends the agents away, and waits for nothing. */
  end(why: string): void;
}

export interface SharedGroupOptions {
  readonly name: string;
  readonly shared: SharedArchive;
  readonly serving: Serving;
  /** Where changes of its role are written down. */
  readonly notes?: RoleNotes;
  readonly clock: Clock;
  readonly log: Log;
}

/** This Kernel among several that share one archive: who has the lock there is hot. */
export class SharedGroup implements Switchable {
  readonly #options: SharedGroupOptions;
  readonly #name: string;
  readonly #watchers: Watchers;
  #state: RoleState;
  #session: RoleSession | null = null;
  /** When the last look began that found the lock here, monotonic ms. */
  #provenMs = Number.NEGATIVE_INFINITY;
  #reign: AbortController | null = null;
  #beginning: Promise<void> | null = null;
  #isHandingOver = false;
  /** While what agents brought last is archived; then the lock goes over at once. */
  #cancelling: AbortController | null = null;
  #databaseError: string | null = null;
  /** Another session that has this name. */
  #twin: { readonly error: NameTakenError; readonly sinceMs: number } | null = null;
  #retryMs = Number.NEGATIVE_INFINITY;
  #said = '';
  readonly #startedMs: number;

  constructor(options: SharedGroupOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#startedMs = options.clock.monotonicMs();
    this.#state = startRole(options.name);
    this.#watchers = new Watchers(options.clock, (receivedBytes) => this.#word(receivedBytes));
  }

  /** It is hot, and knows that it is. */
  get takesSessions(): boolean {
    const isProven = this.#options.clock.monotonicMs() - this.#provenMs < PROOF_MAX_MS;
    return this.#state.role === 'hot' && isProven && this.#session?.isAlive === true && !this.#isHandingOver;
  }

  get status(): SharedStatus {
    const { role, knownEpoch, overtakenBy, heardEpoch } = this.#state;
    const nowMs = this.#options.clock.monotonicMs();
    const twin = this.#twin;
    // Whoever is not let in has seen all the same who is there.
    const view = this.#state.view ?? twin?.error.view ?? null;
    return {
      ...{ upMs: Math.round(nowMs - this.#startedMs), name: this.#name, role },
      takesSessions: this.takesSessions,
      epoch: Math.max(knownEpoch, view?.epoch ?? 0),
      hot: role === 'hot' ? this.#name : hotOf(view),
      ...{ databaseError: this.#databaseError, overtakenBy, heardEpoch },
      twin: twin === null ? null : { from: twin.error.from, forMs: Math.round(nowMs - twin.sinceMs) },
      kernels: (view?.kernels ?? []).filter(({ name }) => name !== this.#name),
    };
  }

  /** What the server of an epoch may do; `null`: the one that stands by. */
  roleIn(epoch: number | null): KernelRole {
    const takes = (): boolean => epoch !== null && this.#state.ruledEpoch === epoch && this.takesSessions;
    const checkTakes = (): void => {
      if (!takes()) throw standby(this.#hot);
    };
    return {
      get takesSessions() {
        return takes();
      },
      checkTakes,
      met: async (claimed) => {
        const { knownEpoch } = this.#state;
        checkTakes();
        checkedCounter('epoch of a Kernel', claimed, knownEpoch);
        this.#step({ kind: 'heard', epoch: claimed });
        checkTakes();
        return epoch ?? 0;
      },
      acknowledgeable: (_streamId, coverage) => coverage,
      serveWatch: (channel: Channel, pace: Pace) => this.#watchers.serve(channel, pace),
    };
  }

  /** Until the signal; then the lock, if it is here, is free for another Kernel. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await clock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
    this.#reign?.abort();
    await this.#beginning;
    await this.#session?.close();
  }

  async handOver(to: string, isForced = false): Promise<void> {
    const { serving, clock, log } = this.#options;
    if (isForced) {
      throw new KomError('KOM_USAGE', `--force is given at ${to} itself`, { got: this.#name });
    }
    if (to === this.#name && this.takesSessions) return;
    this.#checkMayHandOver(to);
    const cancelling = new AbortController();
    try {
      this.#isHandingOver = true;
      this.#cancelling = cancelling;
      this.#tell();
      await serving.drain(`${to} becomes hot`);
      checkNotCancelled(cancelling.signal);
      this.#cancelling = null;
      const session = this.#session;
      if (session === null) throw new KomError('KOM_SWITCH_REFUSED', `${this.#name} is not hot any more`);
      log.warn({ to }, 'an operator hands over to another Kernel');
      await session.hand(to);
      this.#step({ kind: 'handed', to });
    } finally {
      this.#isHandingOver = false;
      this.#cancelling = null;
      this.#tell();
    }
    const isHot = (): boolean => this.#state.view?.holder === 'other' && this.#hot === to;
    const otherwise = () => unconfirmed(`${to} is not hot yet`, `kom kernel status at ${to} tells why`);
    await waitFor({ clock, maxMs: ANSWER_MAX_MS, isThere: isHot, otherwise });
  }

  /** The switch is refused as soon as what agents brought is archived, and they come back. */
  cancel(): boolean {
    this.#cancelling?.abort();
    return this.#cancelling !== null;
  }

  async force(): Promise<string[]> {
    const { clock, log } = this.#options;
    if (this.takesSessions) return [];
    const { knownEpoch, heardEpoch } = this.#state;
    const lacks =
      heardEpoch === 0
        ? []
        : [
            `an agent has seen epoch ${heardEpoch}, the database had ${knownEpoch}: what was archived ` +
              'since may be missing; agents send again what they still hold',
          ];
    this.#checkName();
    if (this.#session === null) {
      throw new KomError('KOM_SWITCH_REFUSED', 'nobody can be hot without the database', {
        got: this.#databaseError ?? 'it was not reached yet',
      });
    }
    log.warn({ hot: this.#hot, lacks }, 'an operator forces this Kernel to be hot');
    await this.#session.depose();
    this.#step({ kind: 'forced' });
    const otherwise = () => unconfirmed(`${this.#name} is not hot yet`, 'kom kernel status tells why');
    await waitFor({ clock, maxMs: ANSWER_MAX_MS, isThere: () => this.takesSessions, otherwise });
    return lacks;
  }

  /** Who has the lock, as far as is known. */
  get #hot(): string {
    const { view, role } = this.#state;
    if (role === 'hot') return this.#name;
    return hotOf(view);
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    try {
      const session = await this.#openSession();
      if (session === null) return;
      const sentMs = clock.monotonicMs();
      const view = await session.look();
      if (view.holder === 'self') this.#provenMs = sentMs;
      this.#databaseError = null;
      this.#twin = null;
      this.#step({ kind: 'seen', view });
      if (this.#session === session) await this.#reach(session);
    } catch (error) {
      if (!isKomError(error)) throw error;
      this.#lose(error);
    }
  }

  /** `null`: it is not yet time to try again. */
  async #openSession(): Promise<RoleSession | null> {
    const { clock, shared } = this.#options;
    if (this.#session !== null) return this.#session;
    if (clock.monotonicMs() < this.#retryMs) return null;
    this.#session = await shared.openSession(this.#name);
    this.#step({ kind: 'opened' });
    return this.#session;
  }

  async #reach(session: RoleSession): Promise<void> {
    const { clock, log } = this.#options;
    const sentMs = clock.monotonicMs();
    if (this.#beginning !== null || this.#isHandingOver || !reaches(this.#state, sentMs)) return;
    const before = this.#state.view;
    const epoch = await session.claim(this.#state.knownEpoch);
    if (epoch === null) return;
    this.#provenMs = sentMs;
    log.warn({ epoch }, 'this Kernel has the lock, and becomes hot');
    // Meanwhile the session is to be seen at the server.
    this.#beginning = this.#begin(session, { epoch, before }).finally(() => {
      this.#beginning = null;
    });
  }

  /** `before`: what was seen when it reached for the lock. */
  async #begin(
    session: RoleSession,
    { epoch, before }: { readonly epoch: number; readonly before: RoleView | null },
  ): Promise<void> {
    const { serving, notes, log } = this.#options;
    const reign = new AbortController();
    this.#reign = reign;
    try {
      await serving.begin({ epoch, signal: reign.signal });
      if (this.#session !== session || !session.isAlive) {
        throw new KomError('KOM_KERNEL_STANDBY', 'the lock was lost meanwhile');
      }
      reign.signal.throwIfAborted();
      this.#step({ kind: 'begun', epoch });
      log.warn({ epoch }, 'this Kernel is hot');
      notes?.becameHot(epoch, before ?? { hot: '', next: '' });
    } catch (error) {
      log.error({ epoch, error: describeError(error) }, 'this Kernel has the lock and cannot be hot');
      reign.abort();
      serving.end('another Kernel becomes hot');
      if (this.#session !== session) return;
      this.#step({ kind: 'failed' });
      this.#session = null;
      await session.close();
    }
  }

  #step(event: RoleEvent): void {
    const { clock, log } = this.#options;
    const before = this.#state;
    this.#state = stepRole(before, event, clock.monotonicMs());
    const { overtakenBy } = this.#state;
    if (overtakenBy !== null && before.overtakenBy === null) {
      log.warn({ by: overtakenBy }, 'this Kernel was hot, and another reign has begun');
    }
    if (before.role === 'hot' && this.#state.role !== 'hot') this.#ended(before, event);
    this.#tell();
  }

  #ended(before: RoleState, event: RoleEvent): void {
    const { serving, notes, log } = this.#options;
    const why = this.#hot === '' ? 'this Kernel is not hot any more' : `${this.#hot} is hot`;
    const { ruledEpoch, knownEpoch } = before;
    const reason = this.#databaseError === null ? '' : `: ${this.#databaseError}`;
    notes?.becameStandby(ruledEpoch ?? knownEpoch, `${why}${reason}`);
    log.warn({ epoch: this.#state.knownEpoch }, why);
    this.#reign?.abort();
    serving.end(why);
    const session = this.#session;
    // What an agent says may come before the first look that finds the lock here.
    const mayHaveLock = event.kind === 'heard' || this.#state.view?.holder === 'self';
    if (session === null || !mayHaveLock) return;
    // Nobody else can have the lock as long as the session is there.
    this.#lose(new KomError('KOM_KERNEL_STANDBY', 'the lock is given up'));
    void session.close();
  }

  #lose(error: KomError): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#session = null;
    this.#retryMs = nowMs + RETRY_MS;
    const isTwin = error instanceof NameTakenError;
    const said = this.#twin?.error.message ?? this.#databaseError;
    if (error.message !== said) log.warn({ error: error.message }, 'no session at the shared archive');
    this.#twin = isTwin ? { error, sinceMs: this.#twin?.sinceMs ?? nowMs } : null;
    this.#databaseError = isTwin ? null : error.message;
    this.#step({ kind: 'lost' });
  }

  /** @throws KomError KOM_SWITCH_REFUSED: another machine has it */
  #checkName(): void {
    const twin = this.#twin;
    if (twin === null) return;
    throw new KomError('KOM_SWITCH_REFUSED', `another session at the database is ${this.#name}`, {
      got: `one from ${twin.error.from}`,
      hint: 'stop that one, or give this one another name in its Kernel file',
    });
  }

  /** @throws KomError KOM_SWITCH_REFUSED */
  #checkMayHandOver(to: string): void {
    const { kernels } = this.status;
    this.#checkName();
    if (!this.takesSessions) {
      const hot = this.#hot;
      throw new KomError('KOM_SWITCH_REFUSED', `${this.#name} is not hot`, {
        hint:
          hot === '' || hot === this.#name
            ? `nobody is; --force at ${to} makes that one hot as soon as the database answers`
            : `${hot} is: give the command there; if it hangs, --force at ${to} ends its session`,
      });
    }
    const there = kernels.filter(({ isPresent }) => isPresent).map((kernel) => kernel.name);
    if (there.includes(to)) return;
    throw new KomError('KOM_SWITCH_REFUSED', `${to} is not at the database`, {
      expected: there.length === 0 ? 'another Kernel there' : there.join(', '),
    });
  }

  /** To agents that watch, as soon as it is so. */
  #tell(): void {
    const { receivedBytes: _, ...word } = this.#word(0);
    const said = JSON.stringify(word);
    if (said === this.#said) return;
    this.#said = said;
    this.#watchers.tell();
  }

  #word(receivedBytes: number): KernelWord {
    const hot = this.#hot;
    const reign = { epoch: this.#state.knownEpoch, hot, revision: 0, inSync: hot === '' ? [] : [hot] };
    return { name: this.#name, reign, takesSessions: this.takesSessions, receivedBytes };
  }
}

function hotOf(view: RoleView | null): string {
  return view === null || view.holder === 'nobody' ? '' : view.hot;
}
