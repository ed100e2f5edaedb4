import { KomError } from '../../domain/errors.ts';
import type { Archive } from '../archive.ts';
import type { Clock } from '../clock.ts';
import {
  NameTakenError,
  type RoleSession,
  type RoleView,
  type SharedArchive,
  type SharedReign,
} from '../shared-archive.ts';
import { SimulatedArchive } from './archive.ts';

/** What changes something; all else are questions. */
const WRITES = ['commit', 'putDictionary', 'raiseTerm', 'raiseKernelEpoch'] as const;
/** A session of which nothing was heard for so long is over, and its lock free. */
const SILENCE_MAX_MS = 5000;

/**
 * A database that several Kernels share, in memory. Faults: `isAway` ends every session and refuses
 * everything; `isReadOnly` refuses what would write, a new session included; a session of which nothing is
 * heard, because its Kernel stands still or is cut off, ends after a time; `vanish` ends one at once. A
 * transaction takes `commitMs`, and what it writes is there in the middle of that, so that other reigns begin
 * while one is under way.
 */
export class SimulatedSharedArchive implements SharedArchive {
  readonly stored = new SimulatedArchive();
  readonly #clock: Clock;
  readonly #sessions = new Map<string, SimulatedRoleSession>();
  readonly #left = new Set<string>();
  #isAway = false;
  holder: SimulatedRoleSession | null = null;
  epoch = 0;
  hot = '';
  next = '';
  commitMs = 0;
  isReadOnly = false;
  /** Epochs of the transactions that went through, in their order. */
  readonly written: number[] = [];
  /** For tests that want to see what happens then. */
  ignoresEpochs = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set isAway(isAway: boolean) {
    this.#isAway = isAway;
    if (isAway) for (const session of [...this.#sessions.values()]) this.end(session);
  }

  async prepare(): Promise<void> {
    // There is nothing to make.
  }

  async openSession(name: string): Promise<RoleSession> {
    this.checkWritable();
    this.endSilent();
    if (this.#sessions.has(name)) {
      const { epoch, hot, next, holder, kernels } = this;
      const view = { epoch, hot, next, holder: holder === null ? 'nobody' : 'other', kernels } as const;
      throw new NameTakenError(name, { from: 'local', view });
    }
    const session = new SimulatedRoleSession(name, this);
    session.heardMs = this.nowMs;
    this.#sessions.set(name, session);
    this.#left.delete(name);
    return session;
  }

  async rule({ epoch, signal }: SharedReign): Promise<Archive> {
    const check = (): void => {
      this.checkWritable();
      if (this.ignoresEpochs || (this.epoch <= epoch && !signal.aborted)) return;
      throw new KomError('KOM_KERNEL_STANDBY', 'a higher epoch is stored', { got: `epoch ${epoch}` });
    };
    check();
    const { stored, written } = this;
    return replaced(stored, async (method, args) => {
      if (this.commitMs > 0) await this.#clock.sleep(this.commitMs / 2);
      check();
      written.push(epoch);
      const result: unknown = await Reflect.apply(stored[method], stored, args);
      if (this.commitMs > 0) await this.#clock.sleep(this.commitMs / 2);
      return result;
    });
  }

  follow(): Archive {
    return replaced(this.stored, async () => {
      throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'only questions are answered here');
    });
  }

  /** The session of a Kernel is over without a word. */
  vanish(name: string): void {
    const session = this.#sessions.get(name);
    if (session !== undefined) this.end(session);
  }

  get nowMs(): number {
    return this.#clock.monotonicMs();
  }

  get kernels(): RoleView['kernels'] {
    const there = [...this.#sessions.keys()].map((name) => ({ name, isPresent: true }));
    const gone = [...this.#left].map((name) => ({ name, isPresent: false }));
    return [...there, ...gone].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  checkThere(): void {
    if (this.#isAway) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the database is away');
  }

  checkWritable(): void {
    this.checkThere();
    if (this.isReadOnly) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the database is read-only');
  }

  endSilent(): void {
    for (const session of [...this.#sessions.values()]) {
      if (this.nowMs - session.heardMs > SILENCE_MAX_MS) this.end(session);
    }
  }

  end(session: SimulatedRoleSession, isOrderly = false): void {
    session.isAlive = false;
    if (this.#sessions.get(session.name) === session) {
      this.#sessions.delete(session.name);
      if (!isOrderly) this.#left.add(session.name);
    }
    if (this.holder === session) this.holder = null;
  }
}

class SimulatedRoleSession implements RoleSession {
  readonly name: string;
  readonly #archive: SimulatedSharedArchive;
  isAlive = true;
  heardMs = 0;

  constructor(name: string, archive: SimulatedSharedArchive) {
    this.name = name;
    this.#archive = archive;
  }

  async look(): Promise<RoleView> {
    const { epoch, hot, next, holder, kernels } = this.#heard();
    const who = holder === null ? 'nobody' : holder === this ? 'self' : 'other';
    return { epoch, hot, next, holder: who, kernels };
  }

  async claim(above: number): Promise<number | null> {
    const archive = this.#writing();
    if (archive.holder !== null && archive.holder !== this) return null;
    archive.holder = this;
    archive.epoch = Math.max(archive.epoch, above) + 1;
    archive.hot = this.name;
    archive.next = '';
    return archive.epoch;
  }

  async hand(to: string): Promise<void> {
    const archive = this.#writing();
    archive.next = to;
    if (archive.holder === this) archive.holder = null;
  }

  async depose(): Promise<void> {
    const archive = this.#writing();
    if (archive.holder === this) return;
    archive.next = this.name;
    if (archive.holder !== null) archive.end(archive.holder);
  }

  async close(): Promise<void> {
    if (this.isAlive) this.#archive.end(this, true);
  }

  #writing(): SimulatedSharedArchive {
    const archive = this.#heard();
    archive.checkWritable();
    return archive;
  }

  #heard(): SimulatedSharedArchive {
    const archive = this.#archive;
    archive.endSilent();
    archive.checkThere();
    if (!this.isAlive) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the session is over');
    this.heardMs = archive.nowMs;
    return archive;
  }
}

type Write = (method: (typeof WRITES)[number], args: readonly unknown[]) => Promise<unknown>;

/** The same archive, for one that opened it: with other ways to write, and closing leaves it as it is. */
function replaced(stored: SimulatedArchive, write: Write): Archive {
  return new Proxy<Archive>(stored, {
    get: (_, key) => {
      if (key === 'close') return async () => {};
      const method = WRITES.find((each) => each === key);
      if (method !== undefined) return (...args: unknown[]) => write(method, args);
      const value: unknown = Reflect.get(stored, key);
      return typeof value === 'function' ? value.bind(stored) : value;
    },
  });
}
