import { describeError, KomError } from '../domain/errors.ts';
import type { Audit } from '../ops/audit.ts';
import type { Command, CommandResult, Message } from '../uplink/messages.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mintId, type Random } from '../world/random.ts';

/** Commands that wait for an answer at most; more are refused. */
const WAITING_MAX = 64;

/** Which instance is meant; what is not given may be any, if it is one only. */
export interface CommandTarget {
  readonly site?: string;
  readonly process: string;
  readonly instance?: number;
}

/** What an operator wants. */
export interface CommandRequest extends Pick<Command, 'name' | 'parameters' | 'operator' | 'host'> {
  readonly target: CommandTarget;
  readonly timeoutMs: number;
  /** The same id again is not carried out again; minted if not given. */
  readonly commandId?: string;
}

interface AgentLine {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
  readonly send: (message: Message) => Promise<void>;
}

interface Waiting {
  readonly command: Command;
  readonly target: CommandTarget;
  /** The instance that got it first; it goes to no other. */
  agent: Pick<AgentLine, 'site' | 'process' | 'instance'> | null;
  readonly resolve: (result: CommandResult) => void;
  readonly timer: Timer;
}

/**
 * The Kernel's desk for commands: gives them to the sessions, repeats what has no answer when a session comes
 * back, and writes every one into the audit.
 */
export class CommandDesk {
  readonly #options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Log;
    readonly audit?: Audit;
  };
  readonly #agents = new Set<AgentLine>();
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Log;
    readonly audit?: Audit;
  }) {
    this.#options = options;
  }

  /** A session began: what waits for its agent is sent. Call what it returns when the session ends. */
  attach(agent: AgentLine): () => void {
    this.#agents.add(agent);
    for (const waiting of this.#waiting.values()) {
      if (isFor(waiting.agent ?? waiting.target, agent)) this.#send(waiting, agent);
    }
    return () => this.#agents.delete(agent);
  }

  /** An agent's answer. One that nobody waits for any more is passed over. */
  answered(result: CommandResult, from: Pick<AgentLine, 'site' | 'process' | 'instance'>): void {
    const waiting = this.#waiting.get(result.commandId);
    if (waiting === undefined || waiting.agent === null || !isFor(waiting.agent, from)) return;
    this.#settle(waiting, result);
  }

  /**
   * Gives a command and waits for the answer, also through a reconnect.
   * @throws KomError KOM_USAGE if it is not clear who is meant, or too many wait
   */
  async give(request: CommandRequest): Promise<CommandResult> {
    const { clock, random } = this.#options;
    const { target, timeoutMs, name, parameters, operator, host } = request;
    if (this.#waiting.size >= WAITING_MAX) {
      throw new KomError('KOM_USAGE', `${WAITING_MAX} commands wait for their answer already`);
    }
    const agents = [...this.#agents].filter((agent) => isFor(target, agent));
    if (agents.length > 1) {
      throw new KomError('KOM_USAGE', `several instances of ${target.process} are connected`, {
        expected: agents.map(({ site, instance }) => `site ${site}, instance ${instance}`).join('; or '),
      });
    }
    const commandId = request.commandId ?? mintId(random);
    if (this.#waiting.has(commandId)) throw new KomError('KOM_USAGE', `command ${commandId} is under way`);
    const command = { commandId, name, parameters, operator, host, givenAtUs: clock.wallUs(), timeoutMs };
    const answer = Promise.withResolvers<CommandResult>();
    const timer = clock.schedule('command', timeoutMs, () => {
      const text = waiting.agent === null ? 'no such agent is connected' : 'the agent did not answer in time';
      this.#settle(waiting, { commandId, outcome: 'failed', text, items: [] });
    });
    const waiting: Waiting = { command, target, agent: null, resolve: answer.resolve, timer };
    this.#waiting.set(commandId, waiting);
    const [agent] = agents;
    if (agent !== undefined) this.#send(waiting, agent);
    return await answer.promise;
  }

  #send(waiting: Waiting, agent: AgentLine): void {
    waiting.agent = agent;
    agent.send({ type: 'command', command: waiting.command }).catch((error: unknown) => {
      this.#options.log.debug({ error: describeError(error) }, 'a command waits for the next session');
    });
  }

  #settle(waiting: Waiting, result: CommandResult): void {
    const { commandId, name, parameters, operator, host, givenAtUs: atUs } = waiting.command;
    const { outcome, text } = result;
    waiting.timer.cancel();
    this.#waiting.delete(commandId);
    const { process } = waiting.target;
    const entry = { commandId, atUs, operator, host, process, name, parameters, outcome, text };
    this.#options.log.info(entry, 'a command');
    const written = this.#options.audit?.write({ ...entry, way: 'kernel' }) ?? Promise.resolve();
    written
      .catch((error: unknown) => {
        this.#options.log.error({ commandId, error: describeError(error) }, 'the audit took no entry');
      })
      .finally(() => waiting.resolve(result));
  }
}

function isFor(target: CommandTarget, agent: Pick<AgentLine, 'site' | 'process' | 'instance'>): boolean {
  return (
    target.process === agent.process &&
    (target.site ?? agent.site) === agent.site &&
    (target.instance ?? agent.instance) === agent.instance
  );
}
