/** So many urgent jobs in a row, and one of the others gets its turn. */
const URGENT_IN_A_ROW_MAX = 8;
/**
 * Who asked for an urgent job that is done may ask for the next one before any other starts: so many turns
 * of the microtask queue its answer may take to get there. Fewer only make the next one wait for a job.
 */
const ANSWER_TURNS = 12;

type Job = () => Promise<void>;

/**
 * Runs jobs one after the other, urgent ones first, else in the order in which they came. Its length is
 * bounded by its callers.
 */
export class SerialQueue {
  readonly #urgent: Job[] = [];
  readonly #others: Job[] = [];
  #isRunning = false;

  run<T>(job: () => Promise<T>): Promise<T> {
    return this.#enqueue(this.#others, job);
  }

  /** Ahead of everything that waits and is not urgent itself. */
  runFirst<T>(job: () => Promise<T>): Promise<T> {
    return this.#enqueue(this.#urgent, job);
  }

  #enqueue<T>(queue: Job[], job: () => Promise<T>): Promise<T> {
    const result = Promise.withResolvers<T>();
    queue.push(async () => {
      try {
        result.resolve(await job());
      } catch (error) {
        result.reject(error);
      }
    });
    if (!this.#isRunning) void this.#run();
    return result.promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await null;
    let urgentInARow = 0;
    for (;;) {
      if (urgentInARow > 0 && this.#urgent.length === 0 && this.#others.length > 0) {
        for (let turn = 0; turn < ANSWER_TURNS && this.#urgent.length === 0; turn += 1) await null;
      }
      const isUrgentDue = urgentInARow < URGENT_IN_A_ROW_MAX || this.#others.length === 0;
      const urgent = isUrgentDue ? this.#urgent.shift() : undefined;
      const job = urgent ?? this.#others.shift();
      if (job === undefined) break;
      urgentInARow = urgent === undefined ? 0 : urgentInARow + 1;
      await job();
    }
    this.#isRunning = false;
  }
}
