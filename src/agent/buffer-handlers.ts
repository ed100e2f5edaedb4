import type { RingFacts } from '../buffer/facts.ts';
import { KomError } from '../domain/errors.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { ClassStore, ClassStoreStatus } from './class-store.ts';

/** Bytes of records in one answer at most, before they become text. */
const RECORDS_BYTES_MAX = 1024 * 1024;

/** A store by the process that it belongs to. */
export interface NamedStore {
  readonly process: string;
  /** `alarms` is the alarms' own store, `main` the one of everything else. */
  readonly part: 'main' | 'alarms';
  readonly store: ClassStore;
}

/** What `buffer.list` tells of each store. */
export interface BufferListItem {
  readonly process: string;
  readonly part: NamedStore['part'];
  readonly status: ClassStoreStatus;
}

/** Records as they travel over the control socket, base64; `null`: the segment is gone. */
export type RecordsItem = readonly (readonly [key: string, value: string])[] | null;

type Params = Parameters<ControlHandler>[0];

/**
 * Methods of the agent's control socket that look at its buffers: `buffer.list`, `buffer.facts`,
 * `buffer.records`, `buffer.dictionary`, `buffer.replay`. Decoding is the caller's work, so that looking at a
 * full ring costs the agent no more than reading it.
 */
export function bufferHandlers(
  stores: () => readonly NamedStore[],
): Readonly<Record<string, ControlHandler>> {
  const find = ({ process, part }: Params): ClassStore => {
    const found = stores().find((each) => each.process === process && each.part === part);
    if (found !== undefined) return found.store;
    const names = stores().map((each) => `${each.process} ${each.part}`);
    throw new KomError('KOM_USAGE', `no buffer ${process} ${part}`, { expected: names.join(', ') });
  };
  return {
    'buffer.list': async function* () {
      for (const { process, part, store } of stores()) {
        yield { process, part, status: store.status } satisfies BufferListItem;
      }
    },
    'buffer.facts': async function* (params) {
      yield find(params).ring.facts() satisfies RingFacts;
    },
    'buffer.records': async function* (params) {
      const limitBytes = Math.min(number(params, 'limitBytes'), RECORDS_BYTES_MAX);
      const { ring } = find(params);
      const records = await ring.records(number(params, 'segment'), number(params, 'after'), limitBytes);
      yield (records?.map(({ key, value }): [string, string] => [base64(key), base64(value)]) ??
        null) satisfies RecordsItem;
    },
    'buffer.dictionary': async function* (params) {
      const bytes = await find(params).ring.dictionary(text(params, 'hash'));
      yield bytes === undefined ? null : base64(bytes);
    },
    'buffer.replay': async function* (params) {
      find(params).backlog.replay({
        streamId: text(params, 'streamId'),
        first: number(params, 'first'),
        last: number(params, 'last'),
        ...(params['fromUs'] === undefined ? {} : { fromUs: number(params, 'fromUs') }),
        ...(params['toUs'] === undefined ? {} : { toUs: number(params, 'toUs') }),
      });
      yield {};
    },
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function number(params: Params, name: string): number {
  const value = params[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new KomError('KOM_USAGE', `${name} is a number that is not negative`, { got: String(value) });
}

function text(params: Params, name: string): string {
  const value = params[name];
  if (typeof value === 'string') return value;
  throw new KomError('KOM_USAGE', `${name} is a text`, { got: String(value) });
}
