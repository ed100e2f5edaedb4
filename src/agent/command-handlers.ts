import type { PoisonItem } from '../buffer/poison.ts';
import { KomError } from '../domain/errors.ts';
import type { AuditEntry } from '../ops/audit.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { Command } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import { mintId, type Random } from '../world/random.ts';
import type { NamedStore } from './buffer-handlers.ts';
import type { Instance } from './instance.ts';

type Params = Parameters<ControlHandler>[0];

/** What `poison.list` tells of each refused block. */
export interface PoisonListItem extends PoisonItem {
  readonly process: string;
  readonly part: NamedStore['part'];
}

export interface CommandHandlersOptions {
  /** By process. */
  readonly instances: () => readonly { readonly process: string; readonly instance: Instance }[];
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Methods of the agent's control socket for operators: `command`, `audit`, `poison.list`, `poison.retry`,
 * `poison.drop`.
 */
export function commandHandlers(options: CommandHandlersOptions): Readonly<Record<string, ControlHandler>> {
  const { instances, clock, random } = options;
  const named = (params: Params) =>
    instances().filter(({ process }) => process === (params['process'] ?? process));
  const stores = (params: Params): NamedStore[] =>
    named(params).flatMap(({ instance }) => instance.namedStores);
  const poison = async (params: Params): Promise<{ named: NamedStore; items: PoisonItem[] }[]> => {
    const found: { named: NamedStore; items: PoisonItem[] }[] = [];
    for (const each of stores(params)) {
      const items = (await each.store.poison.list()).filter((item) => isMeant(item, params));
      found.push({ named: each, items });
    }
    return found;
  };
  const note = async (params: Params, name: string, items: readonly PoisonListItem[]): Promise<void> => {
    for (const { process, instance } of named(params)) {
      const blocks = items.filter((item) => item.process === process);
      if (blocks.length === 0) continue;
      const { stream, first } = params;
      await instance.audit.write({
        ...{ commandId: mintId(random), atUs: clock.wallUs(), way: 'agent', process, name },
        ...{ operator: text(params['operator']), host: text(params['host']) },
        parameters: {
          ...(stream === undefined ? {} : { stream }),
          ...(first === undefined ? {} : { first }),
        },
        ...{ outcome: 'done', text: `${blocks.length} blocks` },
      });
    }
  };
  return {
    command: async function* (params) {
      const found = named(params);
      const [only] = found;
      if (only === undefined || found.length > 1) {
        const expected = instances().map(({ process }) => process);
        throw new KomError('KOM_USAGE', 'which process?', { expected: `one of ${expected.join(', ')}` });
      }
      const result = await only.instance.command(commandOf(params, { clock, random }));
      yield { ...result, process: only.process };
    },
    audit: async function* (params) {
      for (const { instance } of named(params)) {
        for (const entry of await instance.audit.read(limitOf(params))) yield entry satisfies AuditEntry;
      }
    },
    'poison.list': async function* (params) {
      for (const { named: of, items } of await poison(params)) yield* itemsOf(of, items);
    },
    'poison.retry': async function* (params) {
      const all: PoisonListItem[] = [];
      for (const { named: of, items } of await poison(params)) {
        for (const block of await of.store.poison.blocks(items)) await of.store.backlog.offers.add(block);
        all.push(...itemsOf(of, items));
      }
      await note(params, 'poison-retry', all);
      yield* all;
    },
    'poison.drop': async function* (params) {
      const found = await poison(params);
      const all = found.flatMap(({ named: of, items }) => itemsOf(of, items));
      await note(params, 'poison-drop', all);
      for (const { named: of, items } of found) {
        for (const item of items) await of.store.poison.forget(item.streamId, item.firstSequence);
      }
      yield* all;
    },
  };
}

function itemsOf({ process, part }: NamedStore, items: readonly PoisonItem[]): PoisonListItem[] {
  return items.map((item) => ({ process, part, ...item }));
}

/** The command in the parameters of a control request. @throws KomError KOM_USAGE */
export function commandOf(
  params: Params,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Command {
  const { name, parameters = {}, commandId } = params;
  if (typeof name !== 'string' || typeof parameters !== 'object' || parameters === null) {
    throw new KomError('KOM_USAGE', 'a command has a name, and parameters');
  }
  return {
    commandId: typeof commandId === 'string' ? commandId : mintId(random),
    name,
    parameters: parameters as Command['parameters'],
    operator: text(params['operator']),
    host: text(params['host']),
    givenAtUs: clock.wallUs(),
    timeoutMs: 0,
  };
}

function isMeant(item: PoisonItem, { stream, first }: Params): boolean {
  const isStream = typeof stream !== 'string' || item.streamId.startsWith(stream);
  return isStream && (first === undefined || first === item.firstSequence);
}

function limitOf({ limit }: Params): number {
  return typeof limit === 'number' && Number.isSafeInteger(limit) && limit > 0 ? limit : 100;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
