/** What may happen to a ring, for the model test. */
import fc from 'fast-check';
import type { ModelRules } from './model.ts';

export type Action =
  | { readonly do: 'append'; readonly sizes: readonly number[] }
  | { readonly do: 'append, cut'; readonly sizes: readonly number[]; readonly at: number; readonly how: Cut }
  | {
      readonly do: 'append, error';
      readonly sizes: readonly number[];
      readonly at: number;
      readonly delivered: number;
    }
  | { readonly do: 'acknowledge'; readonly share: number; readonly older: boolean }
  | { readonly do: 'deliver without storing'; readonly count: number }
  | { readonly do: 'read on'; readonly bytes: number }
  | { readonly do: 'declare'; readonly skip: number; readonly count: number }
  | { readonly do: 'mark alive' }
  | { readonly do: 'stand by' }
  | { readonly do: 'end' }
  | { readonly do: 'restart'; readonly how: Cut | 'close' }
  | { readonly do: 'restart on a dead disk'; readonly how: 'write' | 'all' };

/** Only who is active gives numbers. */
export function givesNumbers({ do: what }: Action): boolean {
  return what.startsWith('append') || what === 'deliver without storing';
}

export type Cut = 'cutPower' | 'killProcess';

const sizes = fc.array(fc.integer({ min: 100, max: 3000 }), { minLength: 1, maxLength: 6 });
const cut = fc.constantFrom<Cut>('cutPower', 'killProcess');
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ do: fc.constant('append'), sizes }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('append, cut'), sizes, at: fc.nat(8), how: cut }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('append, error'), sizes, at: fc.nat(5), delivered: fc.nat(3) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('acknowledge'),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      older: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('deliver without storing'),
      count: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('read on'), bytes: fc.integer({ min: 1, max: 9000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('declare'),
      skip: fc.nat(60),
      count: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant<Action>({ do: 'mark alive' }) },
  { weight: 2, arbitrary: fc.constant<Action>({ do: 'stand by' }) },
  { weight: 1, arbitrary: fc.constant<Action>({ do: 'end' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('restart'),
      how: fc.constantFrom<Cut | 'close'>('cutPower', 'killProcess', 'close'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart on a dead disk'),
      how: fc.constantFrom<'write' | 'all'>('write', 'all'),
    }),
  },
) as fc.Arbitrary<Action>;

export interface RingRun {
  readonly seed: number;
  readonly policy: ModelRules['policy'];
  readonly whenFull: ModelRules['whenFull'];
  readonly actions: readonly Action[];
}

export const ringRun: fc.Arbitrary<RingRun> = fc.record({
  seed: fc.nat(),
  policy: fc.constantFrom<ModelRules['policy']>('always', 'on-outage'),
  whenFull: fc.constantFrom<ModelRules['whenFull']>('drop-oldest', 'refuse-newest'),
  actions: fc.array(action, { minLength: 1, maxLength: 45, size: 'max' }),
});

/** Runs that failed once, as they were found, shrunk. */
export const FAILED_ONCE: readonly RingRun[] = [
  {
    seed: 1818222312,
    policy: 'always',
    whenFull: 'drop-oldest',
    actions: [
      { do: 'append, error', sizes: [100], at: 2, delivered: 0 },
      { do: 'restart', how: 'close' },
      { do: 'append, cut', sizes: [100], at: 0, how: 'cutPower' },
    ],
  },
  {
    seed: 0,
    policy: 'always',
    whenFull: 'drop-oldest',
    actions: [
      { do: 'append', sizes: [2248, 1772, 723] },
      { do: 'append', sizes: [1688, 688, 2362, 2208] },
      { do: 'append', sizes: [256, 2746, 1752, 100, 1224, 654] },
      { do: 'append', sizes: [1033, 2426, 1361, 221, 1340] },
      { do: 'append', sizes: [1837, 2481] },
      { do: 'append', sizes: [2550, 1123] },
      { do: 'append', sizes: [1867, 1641] },
      { do: 'append, error', sizes: [2250, 164, 809], at: 0, delivered: 0 },
      { do: 'append', sizes: [1538, 2203, 1509, 879, 2230, 614] },
      { do: 'append', sizes: [2727, 1096, 2825, 2105] },
      { do: 'append, cut', sizes: [899], at: 1, how: 'cutPower' },
      { do: 'append, error', sizes: [2040, 2117, 2601, 2194], at: 2, delivered: 0 },
      { do: 'append', sizes: [2979] },
    ],
  },
  {
    seed: 0,
    policy: 'on-outage',
    whenFull: 'drop-oldest',
    actions: [
      { do: 'append', sizes: [185] },
      { do: 'append, cut', sizes: [654], at: 1, how: 'cutPower' },
      { do: 'append, error', sizes: [1713, 965, 151, 516], at: 0, delivered: 0 },
      { do: 'append, error', sizes: [2069, 100, 1046, 466], at: 1, delivered: 1 },
      { do: 'append', sizes: [905, 100] },
      { do: 'append', sizes: [1321, 2363] },
    ],
  },
];
