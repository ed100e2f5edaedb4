import { isDeepStrictEqual } from 'node:util';
import type { OtherKernel } from '../../config/model/kernel.ts';
import type { Coverage } from '../../domain/coverage.ts';
import { sharedCoverage } from '../../domain/coverage-difference.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { ClockOffset } from './clock-offset.ts';
import type { Giver } from './giver.ts';
import { type OtherStatus, otherStatus } from './group-status.ts';
import type { Follower } from './in-sync.ts';
import type { KernelLink } from './kernel-link.ts';
import type { TermGiver } from './term-giver.ts';

/** Another Kernel, as this one deals with it. */
export interface Other {
  readonly described: OtherKernel;
  readonly stop: AbortController;
  readonly giver: Giver;
  readonly terms: TermGiver;
  readonly link: KernelLink;
  /** What it said last. */
  word: KernelWord | null;
  /** `null`: nothing since this Kernel started. */
  heardMs: number | null;
  /** Numbers that it gives to this Kernel, by what it said last, and since when it does; `null`: none. */
  toGet: { readonly values: number; readonly sinceMs: number } | null;
  readonly clockOffset: ClockOffset;
}

/** The other Kernels by name; who is named changes with the file. */
export class Others {
  readonly #make: (described: OtherKernel) => Other;
  readonly #others = new Map<string, Other>();
  /** Those that are in the file no more: what they had when they left. */
  readonly #left = new Map<string, Other>();
  readonly #runs = new Set<Promise<void>>();
  #isRunning = false;

  constructor(kernels: readonly OtherKernel[], make: (described: OtherKernel) => Other) {
    this.#make = make;
    for (const described of kernels) this.#others.set(described.name, make(described));
  }

  get(name: string): Other | undefined {
    return this.#others.get(name);
  }

  has(name: string): boolean {
    return this.#others.has(name);
  }

  values(): Other[] {
    return [...this.#others.values()];
  }

  entries(): [string, Other][] {
    return [...this.#others];
  }

  names(): string[] {
    return [...this.#others.keys()];
  }

  statuses(nowMs: number): OtherStatus[] {
    return this.entries().map(([name, { giver, link, heardMs, clockOffset, toGet, word }]) => {
      const silentMs = heardMs === null ? null : Math.round(nowMs - heardMs);
      const get = { toGet: toGet?.values ?? 0, toGetMs: nowMs - (toGet?.sinceMs ?? nowMs) };
      const isInOwnSet = word?.reign.inSync.includes(name) === true;
      const offset = { offsetMs: clockOffset.offsetMs };
      return { ...otherStatus(name, giver, link), silentMs, ...offset, ...get, isInOwnSet };
    });
  }

  /** Another one says how many numbers it has to give to this one. */
  gives(name: string, values: number, nowMs: number): void {
    const other = this.#others.get(name);
    if (other === undefined) return;
    other.toGet = values === 0 ? null : { values, sinceMs: other.toGet?.sinceMs ?? nowMs };
  }

  /** What of a stream's coverage these have as well, or had when they left the file. */
  shared(names: Iterable<string>, streamId: string, coverage: Coverage): Coverage {
    let shared = coverage;
    for (const name of names) {
      const other = this.#others.get(name) ?? this.#left.get(name);
      if (other !== undefined) shared = sharedCoverage(shared, other.giver.coverage(streamId));
    }
    return shared;
  }

  /** Everything is compared and told anew: who is hot has changed. */
  relist(): void {
    for (const other of this.#others.values()) {
      other.giver.relist();
      other.terms.relist();
      other.toGet = null;
    }
  }

  /** Dials all of them, and whoever joins. */
  start(): void {
    this.#isRunning = true;
    for (const other of this.#others.values()) this.#run(other);
  }

  /** When the connections are closed. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    for (const other of this.#others.values()) end(other);
    await Promise.all(this.#runs);
  }

  /** These are the others now. Returns who is gone, or is somebody else under the same name. */
  change(kernels: readonly OtherKernel[]): string[] {
    const gone: string[] = [];
    for (const [name, other] of this.entries()) {
      const described = kernels.find((each) => each.name === name);
      if (isDeepStrictEqual(described, other.described)) continue;
      this.#others.delete(name);
      this.#left.set(name, other);
      end(other);
      gone.push(name);
    }
    for (const described of kernels.filter(({ name }) => !this.#others.has(name))) {
      const other = this.#make(described);
      this.#others.set(described.name, other);
      if (this.#isRunning) this.#run(other);
    }
    return gone;
  }

  #run({ link, stop }: Other): void {
    const run = link.run(stop.signal).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }
}

function end({ giver, stop }: Other): void {
  stop.abort();
  giver.stop();
}

/** How far another Kernel follows: with values, and with terms. */
export function followerOf({ giver, terms }: Pick<Other, 'giver' | 'terms'>): Follower {
  const isTold = giver.isTold && terms.isTold;
  return {
    isTold,
    behindMs: isTold ? giver.behindMs : Number.POSITIVE_INFINITY,
    hasAllBefore: (ms) => terms.isTold && giver.hasAllBefore(ms),
  };
}
