/** Defects that the explorer must find; each replaces a part of the product. */
import { startArbiter, stepArbiter } from '../../src/kernel/arbiter.ts';
import { stepRole } from '../../src/redundancy/role.ts';
import { PRODUCT, type Product } from './pair-model.ts';

const NEVER = Number.NEGATIVE_INFINITY;

export interface Defect {
  readonly name: string;
  readonly product: Product;
  /** The rule that it breaks. */
  readonly rule: RegExp;
  /** What shows it soon; none: it shows where nothing is wrong. */
  readonly faults: RegExp | null;
}

export const DEFECTS: readonly Defect[] = [
  {
    name: 'the Kernel grants again without its margin',
    rule: /lease/,
    faults: /cable of instance 1 is pulled/,
    product: {
      ...PRODUCT,
      stepArbiter: (before, event) => {
        const ruling = stepArbiter(before, event);
        const { lease } = ruling.state;
        if (lease.untilMs === before.lease.untilMs) return ruling;
        return { ...ruling, state: { ...ruling.state, lease: { ...lease, untilMs: lease.untilMs - 120 } } };
      },
    },
  },
  {
    name: 'a Kernel that just started grants at once',
    rule: /lease/,
    faults: /Kernel restarts|cable of instance/,
    product: {
      ...PRODUCT,
      startArbiter: (stored, nowMs, calmMs) => {
        const state = startArbiter(stored, nowMs, calmMs);
        return {
          ...state,
          startedMs: NEVER,
          guardUntilMs: NEVER,
          lease: { ...state.lease, untilMs: NEVER },
        };
      },
    },
  },
  {
    name: 'terms are not kept through a restart',
    rule: /minted again/,
    faults: /instance 1 restarts|peer link is cut/,
    product: { ...PRODUCT, keepsTerms: false },
  },
  {
    name: 'a lease counts from when its answer arrives',
    rule: /lease/,
    faults: /stands still|late/,
    product: {
      ...PRODUCT,
      stepRole: (settings, before, event) =>
        stepRole(settings, before, event.kind === 'answered' ? { ...event, sentMs: event.nowMs } : event),
    },
  },
  {
    name: 'a higher term of the peer is ignored, and so is the word of the Kernel',
    rule: /after healing not exactly one/,
    faults: /peer link/,
    product: {
      ...PRODUCT,
      stepRole: (settings, before, event) => {
        const isIgnored =
          (event.kind === 'peer-said' && event.word.role === 'active') ||
          (event.kind === 'answered' && event.answer.kind === 'held-by-other');
        if (before.phase !== 'active' || !isIgnored) return stepRole(settings, before, event);
        return { state: before, effects: [] };
      },
    },
  },
  {
    name: 'a standby without a Kernel never takes over',
    rule: /nobody is active/,
    faults: /killed/,
    product: {
      ...PRODUCT,
      stepRole: (settings, before, event) => {
        const step = stepRole(settings, before, event);
        const isOwn = step.state.pending?.from === 'self' && before.phase === 'standby';
        return isOwn ? { state: { ...before, tickedMs: event.nowMs }, effects: [] } : step;
      },
    },
  },
  {
    name: 'who starts without a Kernel is active at once',
    rule: /two instances are active/,
    faults: null,
    product: {
      ...PRODUCT,
      startRole: (settings, from) => {
        const step = PRODUCT.startRole(settings, from);
        return { ...step, state: { ...step.state, phase: 'active', ownTerm: from.highestTerm + 16 } };
      },
    },
  },
];
