import type { KernelAddress, UplinkSettings } from '../config/model.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import { type Clock, untilAborted } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { type Connection, formatAddress, type TlsOptions, type Transport } from '../world/transport.ts';
import { AddressChoice, type AddressState } from './address-choice.ts';
import { Channel } from './channel.ts';
import { greet, type Lanes } from './greet.ts';
import { KernelPaths, type KernelPathsOptions } from './kernel-paths.ts';
import { KernelWatch } from './kernel-watch.ts';
import type { LaneMaker, MakeHello, NamedKernels, PathStatus } from './lane-maker.ts';
import type { KernelWord, Lane } from './messages.ts';
import { type FirstConnection, nextConnection } from './race.ts';

export interface DialOptions extends KernelPathsOptions {
  readonly kernels: readonly KernelAddress[];
  readonly tls?: TlsOptions;
  readonly hello: MakeHello;
  readonly settings: UplinkSettings;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each try that failed. */
  readonly failed: (kernel: string, error: KomError) => void;
  /** Another Kernel says that it is hot, in this epoch. @throws KomError for an epoch that was overtaken */
  readonly heard?: (epoch: number) => Promise<void>;
  readonly log: Log;
}

/** The same Kernel is not gone to again within this time: it takes a moment to get there. */
const CALL_AGAIN_MS = 2000;
/** Why whatever goes on gives way. */
const OTHER_IS_HOT = 'another Kernel is hot';
const LEFT_OUT = 'the site file does not name this Kernel any more';
const NAMED_ANEW = 'the site file names other Kernels';

/** Dials the Kernels of the site file: the preferred address if it works, else the next. */
export class KernelDialler implements LaneMaker {
  readonly #options: DialOptions;
  readonly #paths: KernelPaths;
  readonly #choice: AddressChoice;
  readonly #watch: KernelWatch;
  #present: number | null = null;
  /** The one that is being greeted, or that there is a session with. */
  #dialled: number | null = null;
  /** Of the session. */
  #epoch = 0;
  /** The Kernel that said last that it is hot. */
  #hot = { index: -1, epoch: 0, atMs: Number.NEGATIVE_INFINITY };
  /** Aborted with a text that says why whatever goes on gives way. */
  #call = new AbortController();
  /** Aborted when other Kernels are named. */
  #changed = new AbortController();

  constructor(options: DialOptions) {
    this.#options = options;
    const { settings, random, kernels } = options;
    this.#paths = new KernelPaths(options);
    this.#choice = new AddressChoice({
      addresses: this.#paths.numbersOf(kernels),
      returnAfterMs: settings.returnAfterMs,
      newDelaysMs: () =>
        backoffDelaysMs({
          delayMinMs: settings.reconnectDelayMinMs,
          delayMaxMs: settings.reconnectDelayMaxMs,
          fraction: () => random.fraction(),
        }),
    });
    this.#watch = new KernelWatch({
      present: () => this.#present,
      connect: (index, signal) => this.#connect(index, signal),
      hello: () => options.hello('watch', ''),
      name: (index) => this.#name(index),
      timeoutMs: settings.connectTimeoutMs,
      answered: (index) => this.#choice.answered(index),
      told: (index, word) => this.#told(index, word),
      over: (index, error) => this.#choice.unheard(index, options.clock.monotonicMs(), error),
      ...{ clock: options.clock, log: options.log },
    });
  }

  get paths(): readonly PathStatus[] {
    const { addresses, states } = this.#choice;
    const { clock } = this.#options;
    const wallUs = (atMs: number | null): number | null =>
      atMs === null ? null : clock.wallUs() - Math.round((clock.monotonicMs() - atMs) * 1000);
    return states.map((entry, at) => {
      const index = addresses[at] ?? 0;
      const { lastError, failedMs, heard } = entry;
      return {
        address: this.#name(index),
        localAddress: this.#paths.get(index).localAddress,
        state: index === this.#present ? 'in-use' : stateOf(entry),
        ...{ lastError, failedUs: wallUs(failedMs), heardSinceUs: wallUs(heard?.sinceMs ?? null) },
      };
    });
  }

  change({ kernels }: Pick<NamedKernels, 'kernels'>): void {
    this.#choice.change(this.#paths.numbersOf(kernels));
    this.#changed.abort();
    this.#changed = new AbortController();
    if (this.#present === null) this.#call.abort(NAMED_ANEW);
    else if (!this.#choice.has(this.#present)) this.#call.abort(LEFT_OUT);
  }

  async open(signal: AbortSignal): Promise<Lanes> {
    while (true) {
      signal.throwIfAborted();
      this.#call = new AbortController();
      const call = this.#call.signal;
      const lanes = await this.#open(AbortSignal.any([signal, call]), call);
      if (lanes !== null) return lanes;
    }
  }

  /** `null`: it did not come to a session, or other Kernels are hot or named. */
  async #open(either: AbortSignal, call: AbortSignal): Promise<Lanes | null> {
    const { clock } = this.#options;
    this.#dialled = null;
    try {
      const first = await nextConnection(this.#choice, {
        connect: (index, cancel) => this.#connect(index, cancel),
        failed: (index, error) => this.#failed(index, error),
        ...{ clock, signal: either },
      });
      this.#dialled = first.index;
      const lanes = await this.#lanes(first, either);
      this.#choice.works(first.index, clock.monotonicMs());
      this.#present = first.index;
      this.#epoch = lanes.welcome.kernelEpoch;
      return lanes;
    } catch (error) {
      if (either.aborted && !call.aborted) throw error;
      const dialled = this.#dialled;
      if (dialled === null && !call.aborted) throw error;
      const isOver = call.aborted && call.reason !== OTHER_IS_HOT;
      const why = new KomError('KOM_CONNECTION_REFUSED', OTHER_IS_HOT);
      if (dialled !== null && !isOver) this.#failed(dialled, call.aborted ? why : error);
      return null;
    }
  }

  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const either = AbortSignal.any([signal, this.#changed.signal]);
      const { addresses } = this.#choice;
      // Who is the only one is hot.
      await (addresses.length < 2 ? untilAborted(either) : this.#watch.run(addresses, either));
    }
  }

  ended({ error, isStable }: { readonly error: KomError | null; readonly isStable: boolean }): void {
    const index = this.#present;
    this.#present = null;
    if (index === null) return;
    if (isStable) this.#choice.stable(index);
    if (error === null) return;
    const nowMs = this.#options.clock.monotonicMs();
    const isReplaced = error.code === 'KOM_ALREADY_RUNNING';
    if (!isReplaced) this.#choice.failed(index, { nowMs, error: error.message });
    else {
      // Whoever comes back at once, over whatever path, would take the session back.
      const restMs = this.#options.settings.reconnectDelayMaxMs;
      for (const at of this.#choice.addresses) {
        this.#choice.failed(at, { nowMs, error: error.message, restMs });
      }
    }
  }

  async better(signal: AbortSignal): Promise<string> {
    const called = Promise.withResolvers<string>();
    const call = this.#call.signal;
    const tell = (): void => called.resolve(String(call.reason));
    call.addEventListener('abort', tell, { once: true });
    if (call.aborted) tell();
    try {
      return await Promise.race([called.promise, this.#preferred(signal)]);
    } finally {
      call.removeEventListener('abort', tell);
    }
  }

  /** Until a better address than the present one answers for long enough. */
  async #preferred(signal: AbortSignal): Promise<string> {
    const { clock, settings } = this.#options;
    while (true) {
      await clock.sleep(settings.probeIntervalMs, signal);
      const present = this.#present;
      if (present === null) continue;
      for (const index of this.#choice.betterThan(present)) {
        const error = await this.#probe(index, signal);
        this.#choice.probed(index, clock.monotonicMs(), error);
      }
      const better = this.#choice.better(present, clock.monotonicMs());
      if (better === null) continue;
      this.#choice.chosen(better);
      return `${this.#name(better)} answers again`;
    }
  }

  /** Another Kernel is hot: there, at once. */
  #told(index: number, { takesSessions, reign: { epoch } }: KernelWord): void {
    const { clock, heard } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#choice.heard(index, nowMs, takesSessions);
    const isSame = this.#hot.index === index && this.#hot.epoch === epoch;
    if (!takesSessions || epoch < this.#hot.epoch || this.#isThere(epoch)) return;
    if (isSame && nowMs - this.#hot.atMs < CALL_AGAIN_MS) return;
    this.#hot = { index, epoch, atMs: nowMs };
    const go = async (): Promise<void> => {
      await heard?.(epoch);
      // Meanwhile the session may have come about, or is on its way.
      if (this.#isThere(epoch) || (this.#present === null && this.#dialled === index)) return;
      if (!this.#choice.has(index)) return;
      this.#choice.chosen(index);
      this.#call.abort(OTHER_IS_HOT);
    };
    go().catch((error: unknown) => this.#failed(index, error));
  }

  /** There is a session with whoever is hot in this epoch. */
  #isThere(epoch: number): boolean {
    return this.#present !== null && epoch <= this.#epoch;
  }

  async #lanes({ index, connection }: FirstConnection, signal: AbortSignal): Promise<Lanes> {
    const { clock } = this.#options;
    const control = new Channel(connection, clock);
    const welcome = await this.#greet(index, control, { lane: 'control', sessionId: '', signal });
    try {
      if (welcome.kernelEpoch < this.#hot.epoch) {
        throw new KomError('KOM_CONNECTION_REFUSED', 'the Kernel was overtaken by another one');
      }
      const data = new Channel(await this.#connect(index, signal), clock);
      const { sessionId } = welcome;
      const { knownDictionaries } = await this.#greet(index, data, { lane: 'data', sessionId, signal });
      return { control, data, welcome, knownDictionaries, kernel: this.#name(index) };
    } catch (error) {
      control.destroy();
      throw error;
    }
  }

  /** Asks whether an address would take a session; `null`: yes, else why not. */
  async #probe(index: number, signal: AbortSignal): Promise<string | null> {
    try {
      const channel = new Channel(await this.#connect(index, signal), this.#options.clock);
      await this.#greet(index, channel, { lane: 'probe', sessionId: '', signal });
      channel.destroy();
      return null;
    } catch (error) {
      signal.throwIfAborted();
      if (!isKomError(error)) throw error;
      return error.message;
    }
  }

  #greet(
    index: number,
    channel: Channel,
    how: { readonly lane: Lane; readonly sessionId: string; readonly signal: AbortSignal },
  ) {
    const { hello, settings } = this.#options;
    return greet(channel, {
      hello: hello(how.lane, how.sessionId),
      kernel: this.#name(index),
      timeoutMs: settings.connectTimeoutMs,
      signal: how.signal,
    });
  }

  #connect(index: number, signal: AbortSignal): Promise<Connection> {
    const { transport, settings, tls } = this.#options;
    const { host, port, insecure, localAddress } = this.#paths.get(index);
    return transport.connect(
      { host, port },
      {
        timeoutMs: settings.connectTimeoutMs,
        signal,
        ...(localAddress === null ? {} : { localAddress }),
        ...(tls === undefined || insecure ? {} : { tls }),
      },
    );
  }

  #failed(index: number, error: unknown): void {
    if (!isKomError(error)) throw error;
    this.#choice.failed(index, { nowMs: this.#options.clock.monotonicMs(), error: error.message });
    this.#options.failed(this.#name(index), error);
  }

  #name(index: number): string {
    return formatAddress(this.#paths.get(index));
  }
}

/** Of a path that there is no session over. */
function stateOf({ heard, lastError, reachableSinceMs }: AddressState): PathStatus['state'] {
  if (heard !== null) return heard.isHot ? 'answers' : 'standby';
  if (lastError !== null) return 'waits';
  return reachableSinceMs === null ? 'unknown' : 'answers';
}
