import { dropHeld } from '../buffer/drop.ts';
import { type ReplaySelection, replaysOf } from '../buffer/replay-requests.ts';
import type { ReplayRequest } from '../buffer/replays.ts';
import { COMMAND_NAMES, type CommandName } from '../domain/commands.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Audit, AuditEntry } from '../ops/audit.ts';
import { COMMAND_BYTES_MAX, INSTANCES_MAX } from '../uplink/limits.ts';
import type { Command, CommandOutcome, CommandResult } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { NamedStore } from './buffer-handlers.ts';
import { depthOf } from './depth.ts';
import type { Field } from './field.ts';
import type { ExercisedLine } from './fitness.ts';
import type { Membership } from './membership.ts';
import type { SendModeNotes } from './send-mode.ts';

/** Answers that are remembered, so that a command that comes again is not carried out again. */
const ANSWERS_MAX = 256;

export interface CommandsOptions {
  readonly process: string;
  readonly allowed: readonly CommandName[];
  /** The most urgent first. */
  readonly stores: () => readonly NamedStore[];
  readonly field: Field;
  /** `null`: no other server runs the process. */
  readonly membership: Membership | null;
  /** Tests whether the lines could be taken over. */
  readonly exercise: () => Promise<readonly ExercisedLine[]>;
  readonly status: () => unknown;
  readonly audit: Audit;
  readonly sendMode: SendModeNotes;
  readonly clock: Clock;
  readonly log: Log;
}

type Parameters = Command['parameters'];

interface Done {
  readonly text: string;
  readonly items: readonly unknown[];
}

/**
 * Carries out what operators ask of an instance, whichever way it came: each is checked against the site
 * file,
 * answered, and written into the audit. None of them writes to a device.
 */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #answers = new Map<string, Promise<CommandResult>>();
  /** Commands are carried out one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /**
   * Never rejects: what goes wrong is the answer. A command that was answered before is answered the same.
   */
  carryOut(command: Command, way: AuditEntry['way']): Promise<CommandResult> {
    const known = this.#answers.get(command.commandId);
    if (known !== undefined) return known;
    const answer = this.#turn.then(() => this.#answer(command, way));
    this.#turn = answer;
    this.#answers.set(command.commandId, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > ANSWERS_MAX && oldest !== undefined) this.#answers.delete(oldest);
    return answer;
  }

  async #answer(command: Command, way: AuditEntry['way']): Promise<CommandResult> {
    const { audit, clock, log, process } = this.#options;
    const { commandId, name, parameters, operator, host } = command;
    const before = await audit.find(commandId).catch(() => undefined);
    if (before !== undefined) {
      const outcome =
        before.outcome === 'done' ? 'done' : before.outcome === 'refused' ? 'refused' : 'failed';
      return { commandId, outcome, text: `answered before: ${before.text}`, items: [] };
    }
    const result = await this.#tried(command);
    const { outcome, text } = result;
    const entry = {
      commandId,
      atUs: clock.wallUs(),
      way,
      operator,
      host,
      process,
      name,
      parameters,
      outcome,
      text,
    };
    log.info(entry, 'a command');
    await audit.write(entry).catch((error: unknown) => {
      log.error({ commandId, error: describeError(error) }, 'the audit took no entry');
    });
    return result;
  }

  async #tried({ commandId, name, parameters, operator }: Command): Promise<CommandResult> {
    const answer = (
      outcome: CommandOutcome,
      text: string,
      items: readonly unknown[] = [],
    ): CommandResult => ({
      ...{ commandId, outcome, text, items },
    });
    const wanted = COMMAND_NAMES.find((each) => each === (isRepair(name, parameters) ? 'repair' : name));
    if (wanted === undefined) return answer('refused', `no command ${name}`);
    if (!this.#options.allowed.includes(wanted)) {
      return answer('refused', `the site file does not allow ${wanted}: see commands.allow`);
    }
    try {
      const { text, items } = await this.#perform(wanted, { ...parameters, operator });
      const bytes = Buffer.byteLength(JSON.stringify(items));
      if (bytes <= COMMAND_BYTES_MAX) return answer('done', text, items);
      return answer('done', `${text}; the answer is too long to be sent: ${bytes} bytes`);
    } catch (error) {
      if (!isKomError(error)) {
        this.#options.log.error({ name, error: describeError(error) }, 'a command failed by a bug');
      }
      return answer(isKomError(error, 'KOM_USAGE') ? 'refused' : 'failed', describeError(error));
    }
  }

  async #perform(name: CommandName, parameters: Parameters): Promise<Done> {
    switch (name) {
      case 'status':
        return { text: 'the status', items: [this.#options.status()] };
      case 'depth':
        return { text: 'what the rings hold', items: this.#stores(parameters).map(depthOf) };
      case 'replay':
        return this.#replay(parameters, false);
      case 'repair':
        return this.#replay(parameters, true);
      case 'send-mode':
        return await this.#sendMode(parameters);
      case 'release':
        return this.#release(parameters);
      case 'drop-backlog':
        return await this.#drop(parameters);
      case 'station':
        return await this.#station(parameters);
      case 'switch':
        return this.#switch(parameters);
      case 'prefer':
        return this.#prefer(parameters);
      case 'exercise':
        return await this.#exercise();
    }
  }

  #replay(parameters: Parameters, isRepair: boolean): Done {
    const selection = selectionOf(parameters);
    if (selection.stream === undefined && selection.fromUs === undefined) {
      throw new KomError('KOM_USAGE', 'a replay names a stream, or a time');
    }
    const items = this.#ask(parameters, (request) => (isRepair ? { ...request, repair: true } : request));
    if (items.length === 0) throw new KomError('KOM_USAGE', 'the ring holds nothing of that');
    return { text: `${items.length} ranges are sent again`, items };
  }

  #release(parameters: Parameters): Done {
    const { sendMode } = this.#options;
    if (sendMode.mode !== 'on-request')
      throw new KomError('KOM_USAGE', 'the send mode is auto: nothing waits');
    const selection = selectionOf(parameters);
    if (selection.stream === undefined && selection.fromUs === undefined) {
      for (const { store } of this.#stores(parameters)) store.backlog.release();
      return { text: 'everything up to now is released', items: [] };
    }
    const items = this.#ask(parameters, (request) => request);
    return { text: `${items.length} ranges are released`, items };
  }

  /** Has what the rings hold of a selection sent again. */
  #ask(parameters: Parameters, change: (request: ReplayRequest) => ReplayRequest): ReplayRequest[] {
    return this.#stores(parameters).flatMap(({ store }) => {
      const requests = replaysOf(store.ring.facts(), selectionOf(parameters)).map(change);
      for (const request of requests) store.backlog.replay(request);
      return requests;
    });
  }

  async #sendMode({ mode }: Parameters): Promise<Done> {
    if (mode !== 'auto' && mode !== 'on-request') {
      throw new KomError('KOM_USAGE', 'a send mode', { expected: 'auto or on-request', got: String(mode) });
    }
    await this.#options.sendMode.set(mode);
    return { text: `the send mode is ${mode}`, items: [] };
  }

  async #drop(parameters: Parameters): Promise<Done> {
    const items: unknown[] = [];
    for (const { part, store } of this.#stores(parameters)) {
      items.push({ part, dropped: await dropHeld(store.backlog, this.#options.clock.wallUs()) });
    }
    return { text: 'what was not acknowledged is dropped, and declared as a gap', items };
  }

  async #station({ station, mode }: Parameters): Promise<Done> {
    if (typeof station !== 'string' || (mode !== 'on' && mode !== 'off')) {
      throw new KomError('KOM_USAGE', 'a station and its mode', { expected: 'on or off', got: String(mode) });
    }
    const isChanged = await this.#options.field.switchStation(station, mode);
    return { text: `station ${station} is ${isChanged ? '' : 'already '}${mode}`, items: [] };
  }

  #switch({ to, force, operator }: Parameters): Done {
    const instance = instanceIn(to, 1);
    this.#member.switchTo({ to: instance, force: force === true, operator: String(operator ?? '') });
    return { text: `instance ${instance} is to be active`, items: [] };
  }

  #prefer({ instance }: Parameters): Done {
    const preferred = instanceIn(instance, 0);
    this.#member.prefer(preferred);
    const text = preferred === 0 ? 'what the site file prefers holds' : `instance ${preferred} is preferred`;
    return { text, items: [] };
  }

  async #exercise(): Promise<Done> {
    if (this.#options.membership === null) throw alone();
    const items = await this.#options.exercise();
    const failed = items.filter(({ outcome }) => outcome === 'failed').length;
    return { text: `${items.length} lines tested, ${failed} could not be taken over`, items };
  }

  get #member(): Membership {
    if (this.#options.membership === null) throw alone();
    return this.#options.membership;
  }

  #stores({ part }: Parameters): readonly NamedStore[] {
    const found = this.#options.stores().filter((each) => part === undefined || each.part === part);
    if (found.length === 0) throw new KomError('KOM_USAGE', `there is no buffer ${String(part)}`);
    return found;
  }
}

function alone(): KomError {
  return new KomError('KOM_USAGE', 'no other server runs this process');
}

/** @throws KomError KOM_USAGE */
function instanceIn(value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= INSTANCES_MAX)
    return value;
  const expected = `${least} to ${INSTANCES_MAX}`;
  throw new KomError('KOM_USAGE', 'the number of an instance', { expected, got: String(value) });
}

function isRepair(name: string, { repair }: Parameters): boolean {
  return name === 'replay' && repair === true;
}

/** @throws KomError KOM_USAGE */
function selectionOf(parameters: Parameters): ReplaySelection {
  const { stream } = parameters;
  if (stream !== undefined && typeof stream !== 'string') throw new KomError('KOM_USAGE', 'stream is a text');
  const numbers = (['first', 'last', 'fromUs', 'toUs'] as const).flatMap((name): [string, number][] => {
    const value = parameters[name];
    if (value === undefined) return [];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return [[name, value]];
    throw new KomError('KOM_USAGE', `${name} is a number that is not negative`, { got: String(value) });
  });
  return { ...(stream === undefined ? {} : { stream }), ...Object.fromEntries(numbers) };
}
