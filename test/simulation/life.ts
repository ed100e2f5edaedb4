import type { Archive } from '../../src/world/archive.ts';
import type { Clock, Timer } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { Disk, Store } from '../../src/world/store.ts';
import type { Connection, Listener, Transport } from '../../src/world/transport.ts';

/** The wall clock of a machine; it survives the processes on it. */
export interface WallClock {
  offsetUs: number;
}

/**
 * One run of a process. Everything that the product gets from the world goes through it, so that a process
 * can be killed (nothing it waits for ever comes, no timer fires) and stalled (all of that comes late, the
 * timers first, as an event loop has it).
 */
export class Life {
  readonly #clock: SimulatedClock;
  readonly #wall: WallClock;
  #state: 'running' | 'stalled' | 'dead' = 'running';
  readonly #timers = new Set<Timer>();
  #lateTimers: (() => void)[] = [];
  #sleepers: (() => void)[] = [];

  constructor(clock: SimulatedClock, wall: WallClock) {
    this.#clock = clock;
    this.#wall = wall;
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isStalled(): boolean {
    return this.#state === 'stalled';
  }

  kill(): void {
    this.#state = 'dead';
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#lateTimers = [];
    this.#sleepers = [];
  }

  stall(ms: number): void {
    if (this.#state !== 'running') return;
    this.#state = 'stalled';
    this.#clock.schedule('end of stall', ms, () => {
      if (this.#state !== 'stalled') return;
      this.#state = 'running';
      for (const run of this.#lateTimers.splice(0)) run();
      for (const wake of this.#sleepers.splice(0)) wake();
    });
  }

  /** What a promise of the world gives, as this process gets to see it. */
  async see<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } finally {
      await this.#awake();
    }
  }

  get timers(): number {
    return this.#timers.size;
  }

  readonly clock: Clock = {
    monotonicMs: () => this.#clock.monotonicMs(),
    wallUs: () => this.#clock.wallUs() + this.#wall.offsetUs,
    sleep: (ms, signal) => this.see(this.#clock.sleep(ms, signal)),
    schedule: (name, ms, run) => this.#schedule(name, ms, run),
    repeat: (name, ms, run) => {
      let timer: Timer;
      const fire = () => {
        timer = this.#schedule(name, ms, fire);
        run();
      };
      timer = this.#schedule(name, ms, fire);
      return { cancel: () => timer.cancel() };
    },
  };

  #schedule(name: string, ms: number, run: () => void): Timer {
    if (this.isDead) return { cancel: () => {} };
    let isCancelled = false;
    const fire = () => {
      this.#timers.delete(handle);
      if (isCancelled || this.isDead) return;
      if (this.#state === 'stalled') this.#lateTimers.push(fire);
      else run();
    };
    const timer = this.#clock.schedule(name, ms, fire);
    const handle: Timer = {
      cancel: () => {
        isCancelled = true;
        this.#timers.delete(handle);
        timer.cancel();
      },
    };
    this.#timers.add(handle);
    return handle;
  }

  #awake(): Promise<void> | undefined {
    if (this.#state === 'running') return undefined;
    return new Promise((resolve) => {
      if (this.#state === 'stalled') this.#sleepers.push(resolve);
    });
  }

  disk(disk: Disk): Disk {
    return {
      list: (folder) => this.see(disk.list(folder)),
      open: (name, options) => this.see(disk.open(name, options).then((store) => this.#store(store))),
      repair: (name) => this.see(disk.repair(name)),
      remove: (name) => this.see(disk.remove(name)),
      rename: (from, to) => this.see(disk.rename(from, to)),
      usedBytes: (name) => this.see(disk.usedBytes(name)),
      freeBytes: () => this.see(disk.freeBytes()),
    };
  }

  #store(store: Store): Store {
    return {
      get: (key) => this.see(store.get(key)),
      batch: (writes, options) => this.see(store.batch(writes, options)),
      read: (range) => this.see(store.read(range)),
      close: () => this.see(store.close()),
    };
  }

  transport(transport: Transport): Transport {
    const accept = (take: (connection: Connection) => void) => (connection: Connection) => {
      if (this.isDead) return;
      if (this.#state === 'running') take(this.#connection(connection));
      else this.#lateTimers.push(() => take(this.#connection(connection)));
    };
    const own = (promise: Promise<Connection>) => this.see(promise.then((each) => this.#connection(each)));
    const kept = (promise: Promise<Listener>) => this.see(promise);
    return {
      connect: (address, options) => own(transport.connect(address, options)),
      connectLocal: (path, options) => own(transport.connectLocal(path, options)),
      listen: (address, take, options) => kept(transport.listen(address, accept(take), options)),
      listenLocal: (path, take) => kept(transport.listenLocal(path, accept(take))),
    };
  }

  #connection(connection: Connection): Connection {
    const inner = connection[Symbol.asyncIterator]();
    return {
      remote: connection.remote,
      peerCertificate: connection.peerCertificate,
      get queuedBytes() {
        return connection.queuedBytes;
      },
      send: (bytes) => this.see(connection.send(bytes)),
      close: () => connection.close(),
      destroy: () => connection.destroy(),
      [Symbol.asyncIterator]: () => ({
        next: () => this.see(inner.next()),
        return: () => this.see(inner.return?.() ?? Promise.resolve({ done: true, value: undefined })),
      }),
    };
  }

  /** Every method of an archive is a promise. */
  archive(archive: Archive): Archive {
    return new Proxy(archive, {
      get: (of, key) => {
        const value: unknown = Reflect.get(of, key);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => this.see(Promise.resolve(Reflect.apply(value, of, args)));
      },
    });
  }
}
