/**
 * What happens in the world of `pair-model.ts`. A round is a step of time in which everything arrives; what
 * deviates from that is in `deviations.ts`.
 */
import type { HandoverRequest, LeaseClaim } from '../../src/domain/lease.ts';
import { counterOf, type Term } from '../../src/domain/term.ts';
import type { ArbiterEvent } from '../../src/kernel/arbiter.ts';
import {
  holdsLease,
  isPeerGone,
  kernelAnswers,
  type PeerWord,
  type RoleEvent,
  type RoleState,
  roleOf,
} from '../../src/redundancy/role-state.ts';
import {
  BrokenRule,
  CALM_MS,
  DEAD_NODE,
  HOLD_OFF_MS,
  KERNEL_STEP_MS,
  LEASE_MS,
  NEVER,
  type Node,
  other,
  type PairOptions,
  PEER_TIMEOUT_MS,
  SIDES,
  type Side,
  STEPS_MS,
  settingsOf,
  type World,
} from './pair-model.ts';

/** One event at a time on a world that changes; what goes in and comes out is a value. */
export class PairWorld {
  world: World;
  readonly #options: PairOptions;

  constructor(world: World, options: PairOptions) {
    this.world = world;
    this.#options = options;
  }

  node(side: Side): Node {
    return this.world.nodes[side];
  }

  change(side: Side, change: Partial<Node>): void {
    const [first, second] = this.world.nodes;
    // Most of what is set in a round is so already, and a copy is what a round costs.
    if (isSo(side === 0 ? first : second, change)) return;
    const nodes: World['nodes'] =
      side === 0 ? [{ ...first, ...change }, second] : [first, { ...second, ...change }];
    this.world = { ...this.world, nodes };
  }

  changeKernel(change: Partial<World['kernel']>): void {
    if (isSo(this.world.kernel, change)) return;
    this.world = { ...this.world, kernel: { ...this.world.kernel, ...change } };
  }

  startInstance(side: Side): void {
    const { nowMs, durableTerm } = this.node(side);
    const { state } = this.#options.product.startRole(settingsOf(side), {
      nowMs,
      highestTerm: durableTerm,
      preferred: { instance: this.#options.preferred, setAtUs: 0 },
    });
    this.change(side, { ...DEAD_NODE, role: state });
  }

  /** `isWritten`: what was on its way to the disk got there. */
  killInstance(side: Side, isWritten: boolean): void {
    const { durableTerm, persisting, isCutFromKernel } = this.node(side);
    const term = isWritten ? Math.max(durableTerm, ...persisting) : durableTerm;
    this.change(side, { ...DEAD_NODE, durableTerm: term });
    if (!isCutFromKernel) this.#arbiter({ kind: 'disconnected', instance: side + 1 });
  }

  /** The network is gone; `isNoticed`: both ends see their connection break, else it is silent. */
  cutFromKernel(side: Side, isNoticed: boolean): void {
    this.change(side, { isCutFromKernel: true, claims: [], answers: [] });
    if (!isNoticed) return;
    this.#arbiter({ kind: 'disconnected', instance: side + 1 });
    this.#endSession(side);
  }

  startKernel(): void {
    const { nowMs, stored } = this.world.kernel;
    this.changeKernel({ arbiter: this.#options.product.startArbiter(stored, nowMs, CALM_MS) });
  }

  /** `isWritten`: as with an instance. */
  killKernel(isWritten: boolean): void {
    const { raising, stored } = this.world.kernel;
    const kept = isWritten && raising !== null ? raising : stored;
    this.changeKernel({ arbiter: null, raising: null, raiseDelay: 0, stored: kept });
    for (const side of SIDES) {
      this.change(side, { claims: [], answers: [], echoSentMs: NEVER });
      if (!this.node(side).isCutFromKernel) this.#endSession(side);
    }
  }

  /** Everything that is due happens, from a point of the round on; `at` is called at each point. */
  round(from: number, at: () => void): void {
    if (from === 0) {
      at();
      this.#passTime();
    }
    for (;;) {
      at();
      const due = this.#nextDue();
      if (due === undefined) break;
      due();
      this.#checkRules();
    }
    this.#countDown();
  }

  /** All cables are there, everybody runs, and nothing is slow. */
  heal(): void {
    this.world = { ...this.world, isPeerCut: false };
    if (this.world.kernel.arbiter === null) this.startKernel();
    this.changeKernel({ raiseDelay: 0 });
    for (const side of SIDES) {
      if (this.node(side).role === null) this.startInstance(side);
      const now = { persistDelay: 0, standByDelay: 0, claimDelay: 0, answerDelay: 0, sayingDelay: 0 };
      this.change(side, { ...now, stalled: 0, isCutFromKernel: false, isLiedTo: false });
    }
  }

  #passTime(): void {
    this.changeKernel({ nowMs: this.world.kernel.nowMs + KERNEL_STEP_MS });
    for (const side of SIDES) this.change(side, { nowMs: this.node(side).nowMs + STEPS_MS[side] });
    for (const side of SIDES) this.#tick(side);
    this.#arbiter({ kind: 'tick' });
    this.#checkRules();
  }

  #tick(side: Side): void {
    const node = this.node(side);
    if (node.role === null || node.stalled > 0) return;
    if (node.stalledFor * STEPS_MS[side] >= PEER_TIMEOUT_MS) this.#event(side, { kind: 'woke' });
    this.change(side, { stalledFor: 0 });
    this.#connect(side);
    const peer = this.node(other(side));
    const isRefused = (peer.role === null && !this.world.isPeerCut) || node.isLiedTo;
    const goneFromMs = isRefused ? (node.goneFromMs ?? node.nowMs) : null;
    this.change(side, { goneFromMs });
    this.#event(side, { kind: 'tick', peerHeardMs: node.peerHeardMs, peerGoneFromMs: goneFromMs });
    this.#say(side, null);
    this.#claim(side);
  }

  #connect(side: Side): void {
    const { isCutFromKernel, hasSession } = this.node(side);
    const { arbiter } = this.world.kernel;
    if (isCutFromKernel) return;
    if (arbiter === null) this.#endSession(side);
    else if (!hasSession) {
      this.change(side, { hasSession: true, claims: [], answers: [], echoSentMs: NEVER });
      this.#arbiter({ kind: 'connected', instance: side + 1 });
      this.#event(side, { kind: 'session', isThere: true });
    }
  }

  #endSession(side: Side): void {
    if (!this.node(side).hasSession) return;
    this.change(side, { hasSession: false });
    this.#event(side, { kind: 'session', isThere: false });
  }

  #say(side: Side, request: HandoverRequest | null): void {
    const { role, nowMs, sayings, heardSaidMs } = this.node(side);
    const peer = this.node(other(side));
    if (role === null || this.world.isPeerCut || peer.role === null) return;
    const settings = settingsOf(side);
    const word: PeerWord = {
      instance: side + 1,
      ...activationOf(role),
      hasLease: holdsLease(role, nowMs),
      kernelAnswers: kernelAnswers(settings, role, nowMs),
    };
    const saying = { word, saidMs: nowMs, echoMs: heardSaidMs, request };
    const last = sayings.at(-1);
    // What was said in the same moment and is newer stands for both, unless it asks for something.
    const kept = last?.saidMs === nowMs && last.request === null ? sayings.slice(0, -1) : sayings;
    this.change(side, { sayings: [...kept, saying].slice(-4) });
  }

  #claim(side: Side): void {
    const { role, nowMs, claims, hasSession, isCutFromKernel } = this.node(side);
    if (role === null || !hasSession || isCutFromKernel) return;
    const claim: LeaseClaim = {
      ...activationOf(role),
      releasedTerm: role.releasedTerm,
      peerGone: isPeerGone(settingsOf(side), role, nowMs),
      preferHoldOffMs: HOLD_OFF_MS,
      leaseMs: LEASE_MS,
      wish: role.wish,
    };
    const kept = claims.at(-1)?.sentMs === nowMs ? claims.slice(0, -1) : claims;
    this.change(side, { claims: [...kept, { claim, sentMs: nowMs }].slice(-4) });
  }

  /** What happens next in this round. */
  #nextDue(): (() => void) | undefined {
    const { kernel } = this.world;
    if (kernel.raising !== null && kernel.raiseDelay === 0) return () => this.#raised();
    for (const side of SIDES) {
      const due = this.#nextDueOf(side, this.node(side));
      if (due !== undefined) return due;
    }
    return undefined;
  }

  #nextDueOf(side: Side, node: Node): (() => void) | undefined {
    const peer = this.node(other(side));
    const isUp = this.world.kernel.arbiter !== null;
    if (node.claims.length > 0 && node.claimDelay === 0 && isUp) return () => this.#claimArrives(side);
    const isDeaf = peer.role === null || peer.stalled > 0;
    if (node.sayings.length > 0 && node.sayingDelay === 0 && !isDeaf) return () => this.#wordArrives(side);
    if (node.role === null || node.stalled > 0) return undefined;
    if (node.persisting.length > 0 && node.persistDelay === 0) return () => this.#persisted(side);
    if (node.isStandingBy && node.standByDelay === 0) return () => this.#stoodDown(side);
    if (node.answers.length > 0 && node.answerDelay === 0) return () => this.#answerArrives(side);
    return undefined;
  }

  #raised(): void {
    const { raising } = this.world.kernel;
    if (raising === null) return;
    this.#minted(0, raising.term);
    this.changeKernel({ raising: null, stored: raising });
    this.#arbiter({ kind: 'raised', term: raising.term });
  }

  #claimArrives(side: Side): void {
    const [first, ...claims] = this.node(side).claims;
    if (first === undefined) return;
    this.change(side, { claims, echoSentMs: first.sentMs });
    this.#arbiter({ kind: 'claimed', instance: side + 1, claim: first.claim });
  }

  #wordArrives(side: Side): void {
    const [first, ...sayings] = this.node(side).sayings;
    if (first === undefined) return;
    this.change(side, { sayings });
    const to = other(side);
    this.change(to, {
      peerHeardMs: this.node(to).nowMs,
      goneFromMs: null,
      heardSaidMs: first.saidMs,
    });
    this.#event(to, { kind: 'peer-said', word: first.word, echoMs: first.echoMs });
    if (first.request !== null) this.#event(to, { kind: 'handover', request: first.request, from: 'peer' });
  }

  #persisted(side: Side): void {
    const [first, ...persisting] = this.node(side).persisting;
    if (first === undefined) return;
    const { durableTerm, role } = this.node(side);
    // One that was lost on its way to the disk may come again: nobody acted under it.
    const pending = role?.pending;
    if (pending?.term === first && pending.from !== 'kernel') this.#minted(side + 1, first);
    const kept = this.#options.product.keepsTerms ? Math.max(durableTerm, first) : durableTerm;
    this.change(side, { persisting, durableTerm: kept });
    this.#event(side, { kind: 'persisted', term: first, isDurable: true });
  }

  #stoodDown(side: Side): void {
    this.change(side, { isStandingBy: false });
    this.#event(side, { kind: 'stood-down' });
  }

  #answerArrives(side: Side): void {
    const [first, ...answers] = this.node(side).answers;
    if (first === undefined) return;
    this.change(side, { answers });
    this.#event(side, { kind: 'answered', ...first });
  }

  /** An operator at an instance. */
  handover(side: Side, request: HandoverRequest): void {
    this.#event(side, { kind: 'handover', request, from: 'operator' });
  }

  #event(side: Side, event: RoleEvent): void {
    const { role, nowMs } = this.node(side);
    if (role === null) return;
    const { state, effects } = this.#options.product.stepRole(settingsOf(side), role, {
      ...event,
      nowMs,
    });
    this.change(side, { role: state });
    for (const effect of effects) {
      if (effect.kind === 'persist') {
        this.change(side, { persisting: [...this.node(side).persisting, effect.term] });
      } else if (effect.kind === 'stand-by') this.change(side, { isStandingBy: true });
      else if (effect.kind === 'tell-peer') this.#say(side, null);
      else if (effect.kind === 'ask-peer') this.#say(side, effect.request);
      else if (effect.kind === 'renew-lease') this.#claim(side);
    }
  }

  #arbiter(event: ArbiterEvent): void {
    const { arbiter, nowMs } = this.world.kernel;
    if (arbiter === null) return;
    const ruling = this.#options.product.stepArbiter(arbiter, { ...event, nowMs });
    this.changeKernel({ arbiter: ruling.state });
    for (const decision of ruling.decisions) {
      if (decision.kind === 'raise') {
        this.changeKernel({ raising: { term: decision.term, holder: decision.holder } });
        continue;
      }
      const side: Side = decision.instance === 1 ? 0 : 1;
      if (decision.answer.kind === 'granted') this.#checkGrant(side);
      const { answers, echoSentMs, isCutFromKernel } = this.node(side);
      if (isCutFromKernel) continue;
      const answer = { answer: decision.answer, sentMs: echoSentMs };
      this.change(side, { answers: [...answers, answer].slice(-4) });
    }
  }

  #minted(minter: number, term: Term): void {
    const { mintedTerms } = this.world;
    if (term <= (mintedTerms[minter] ?? 0)) throw new BrokenRule(`term ${counterOf(term)} is minted again`);
    const [kernel, first, second] = mintedTerms;
    this.world = {
      ...this.world,
      mintedTerms: [minter === 0 ? term : kernel, minter === 1 ? term : first, minter === 2 ? term : second],
    };
  }

  #checkGrant(to: Side): void {
    const { role, nowMs } = this.node(other(to));
    const isLie = this.node(to).isLiedTo;
    if (role !== null && holdsLease(role, nowMs) && !isLie) {
      throw new BrokenRule('a lease is granted while the other instance holds one');
    }
  }

  #checkRules(): void {
    const [first, second] = this.world.nodes;
    if (first.role === null || second.role === null) return;
    const areActive = first.role.phase === 'active' && second.role.phase === 'active';
    if (areActive && first.role.ownTerm === second.role.ownTerm) {
      throw new BrokenRule('two instances are active under one term');
    }
    const areLeased = holdsLease(first.role, first.nowMs) && holdsLease(second.role, second.nowMs);
    if (areLeased && !first.isLiedTo && !second.isLiedTo) {
      throw new BrokenRule('two instances hold a lease');
    }
  }

  #countDown(): void {
    for (const side of SIDES) {
      const node = this.node(side);
      this.change(side, {
        persistDelay: Math.max(0, node.persistDelay - 1),
        standByDelay: Math.max(0, node.standByDelay - 1),
        claimDelay: Math.max(0, node.claimDelay - 1),
        answerDelay: Math.max(0, node.answerDelay - 1),
        sayingDelay: Math.max(0, node.sayingDelay - 1),
        stalled: Math.max(0, node.stalled - 1),
        stalledFor: node.stalled > 0 ? node.stalledFor + 1 : node.stalledFor,
      });
    }
    this.changeKernel({ raiseDelay: Math.max(0, this.world.kernel.raiseDelay - 1) });
  }
}

function isSo<T extends object>(value: T, change: Partial<T>): boolean {
  for (const name in change) if (value[name] !== change[name]) return false;
  return true;
}

function activationOf(role: RoleState) {
  const { ownTerm, highestTerm, unfit, isLeaving, preferred } = role;
  return { role: roleOf(role), ownTerm, highestTerm, unfit, isLeaving, preferred };
}
