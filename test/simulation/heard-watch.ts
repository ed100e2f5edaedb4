import type { KernelServer } from '../../src/kernel/server.ts';
import type { Timer } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { KernelHost } from './kernel-host.ts';
import { PROCESS, SITE } from './site.ts';

const LOOK_MS = 100;

/** Looks at what Kernels hear of how far streams were given, and forgets it with each of them that dies. */
export class HeardWatch {
  readonly #kernels: readonly KernelHost[];
  readonly #timer: Timer | null;
  readonly #heard = new Map<
    KernelHost,
    { readonly by: KernelServer; readonly through: Map<string, number> }
  >();

  /** Only an instance that stood by can be told to have ended cleanly and not have. */
  constructor(setup: { clock: SimulatedClock; kernels: readonly KernelHost[]; isShared: boolean }) {
    const { clock, kernels, isShared } = setup;
    this.#kernels = kernels;
    this.#timer = isShared ? clock.repeat('heard', LOOK_MS, () => this.#look()) : null;
  }

  /** The highest number of a stream that a Kernel heard of which lived to the end; 0: none did. */
  through(streamId: string): number {
    return [...this.#heard.values()].reduce(
      (highest, { through }) => Math.max(highest, through.get(streamId) ?? 0),
      0,
    );
  }

  end(): void {
    this.#look();
    this.#timer?.cancel();
  }

  #look(): void {
    for (const kernel of this.#kernels) {
      const { server } = kernel;
      const known = this.#heard.get(kernel);
      if (server === null) {
        this.#heard.delete(kernel);
        continue;
      }
      const through = known?.by === server ? known.through : new Map<string, number>();
      this.#heard.set(kernel, { by: server, through });
      const streams = server.presence
        .of(SITE, PROCESS)
        .instances()
        .flatMap(({ status }) => status.streams);
      for (const { streamId, producedTo } of streams) {
        through.set(streamId, Math.max(through.get(streamId) ?? 0, producedTo));
      }
    }
  }
}
