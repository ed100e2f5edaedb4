import { isDeepStrictEqual } from 'node:util';
import type { OtherKernel } from '../../config/model/kernel.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { Giver } from './giver.ts';
import type { KernelLink } from './kernel-link.ts';

/** Another Kernel, as this one deals with it. */
export interface Other {
  readonly described: OtherKernel;
  readonly stop: AbortController;
  readonly giver: Giver;
  readonly link: KernelLink;
  /** What it said last. */
  word: KernelWord | null;
  heardMs: number;
}

/** The other Kernels by name; who is named changes with the file. */
export class Others {
  readonly #make: (described: OtherKernel) => Other;
  readonly #others = new Map<string, Other>();
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
