import { KomError } from '../../src/domain/errors.ts';
import type { Archive } from '../../src/world/archive.ts';
import type { RoleSession, SharedArchive } from '../../src/world/shared-archive.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedSharedArchive } from '../../src/world/simulated/shared-archive.ts';
import { delegated } from './delegate.ts';
import type { Life } from './life.ts';

/** A Kernel gives up after so long what the database does not answer. */
const ANSWER_MAX_MS = 3000;
/** There and back. */
const ROUND_TRIP_MS = 2;

/** A database that several Kernels share, with the way of each of them to it. */
export class SharedDatabase {
  readonly database: SimulatedSharedArchive;
  readonly #clock: SimulatedClock;
  /** Kernels that it is cut off from. */
  readonly #cut = new Set<string>();
  readonly #sessions = new Map<string, SeenSession>();

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
    this.database = new SimulatedSharedArchive(clock);
  }

  /** What a Kernel asks gets no answer, and the database hears nothing of it. */
  cutOff(name: string, isCut: boolean): void {
    if (isCut === this.#cut.has(name)) return;
    const session = this.#sessions.get(name);
    if (session !== undefined) session.wasAlive = session.inner.isAlive;
    if (isCut) this.#cut.add(name);
    else this.#cut.delete(name);
  }

  isCutOff(name: string): boolean {
    return this.#cut.has(name);
  }

  /** Some Kernel cannot know what became of its session. */
  get isAnyCutOff(): boolean {
    return this.#cut.size > 0;
  }

  /** As a process has it, which may be killed or stand still. */
  of(name: string, life: Life): SharedArchive {
    const { database } = this;
    const seen: See = async (call) => {
      await life.see(this.#clock.sleep(ROUND_TRIP_MS));
      return await life.see(this.#answered(name, call));
    };
    return {
      prepare: async () => {},
      openSession: async (kernel) => {
        const inner = await seen(() => database.openSession(kernel));
        const session = { inner, wasAlive: true };
        this.#sessions.set(name, session);
        // One that is cut off or stands still hears nothing of its end.
        const isAlive = () =>
          life.isStalled || (this.#cut.has(name) ? session.wasAlive : session.inner.isAlive);
        return seenSession(session.inner, { seen, isAlive });
      },
      rule: async (reign) => this.#archive(name, life, await seen(() => database.rule(reign))),
      follow: () => this.#archive(name, life, database.follow()),
    };
  }

  #archive(name: string, life: Life, archive: Archive): Archive {
    const answered = delegated(archive, {
      commit: (transaction) => this.#answered(name, () => archive.commit(transaction)),
    });
    return life.archive(answered);
  }

  /** What was begun may come to its end, and nobody hears of it. */
  async #answered<T>(name: string, call: () => Promise<T>): Promise<T> {
    if (!this.#cut.has(name)) {
      const answer = await call();
      if (!this.#cut.has(name)) return answer;
    }
    await this.#clock.sleep(ANSWER_MAX_MS);
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `no answer within ${ANSWER_MAX_MS} ms`);
  }
}

type See = <T>(call: () => Promise<T>) => Promise<T>;

interface SeenSession {
  readonly inner: RoleSession;
  /** When its Kernel was cut off. */
  wasAlive: boolean;
}

function seenSession(
  session: RoleSession,
  { seen, isAlive }: { readonly seen: See; readonly isAlive: () => boolean },
): RoleSession {
  return {
    get isAlive() {
      return isAlive();
    },
    look: () => seen(() => session.look()),
    claim: (above) => seen(() => session.claim(above)),
    hand: (to) => seen(() => session.hand(to)),
    depose: () => seen(() => session.depose()),
    close: () => seen(() => session.close()).catch(() => {}),
  };
}
