import { deserialize, serialize } from 'node:v8';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { KernelPlaces } from '../config/model.ts';
import type { Problem } from '../config/problems.ts';
import { type RunningSite, reloadSite } from '../config/reload.ts';
import { type ErrorCode, isKomError, KomError, toldError } from '../domain/errors.ts';

/**
 * A site of so many bytes, about 3,000 tags, is read in a thread of its own, which costs 50 MB for a moment;
 * a smaller one is read in a few hundred milliseconds on a small box, which may not have those.
 */
const LARGE_BYTES = 1_000_000;

/** Tells the thread of a reading from any other one that loads this file. */
const MARK = 'kom site reading';

interface Task {
  readonly mark: typeof MARK;
  readonly file: string;
  readonly server: string;
  /** A `RunningSite`, serialized. */
  readonly running: Uint8Array;
}

/** Where the Kernels are, and doubts about the file. */
interface Reading {
  readonly places: KernelPlaces;
  readonly problems: readonly Problem[];
}

type Answer = Reading | { readonly error: { readonly code: ErrorCode; readonly message: string } };

/**
 * Reads the site file of a running agent anew. With 10,000 tags that takes longer on a small box than a lease
 * holds: polling and heartbeats do not wait for it then.
 */
export class SiteReader {
  readonly #task: Task;

  /** `running`: what the agent runs with. */
  constructor(file: string, server: string, { site, input }: RunningSite) {
    this.#task = { mark: MARK, file, server, running: serialize({ site, input } satisfies RunningSite) };
  }

  /** @throws KomError KOM_CONFIG_INVALID with all that is wrong or needs a restart, KOM_CONFIG_UNREADABLE */
  async read(): Promise<Reading> {
    const isLarge = this.#task.running.length > LARGE_BYTES;
    const answer = await (isLarge ? this.#readBeside() : readFor(this.#task));
    if ('error' in answer) throw toldError(answer.error);
    return answer;
  }

  async #readBeside(): Promise<Answer> {
    const worker = new Worker(new URL(import.meta.url), { workerData: this.#task });
    try {
      return await new Promise<Answer>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.once('exit', (code) => {
          const got = `the end of its reader, with ${code}`;
          reject(new KomError('KOM_CONFIG_UNREADABLE', this.#task.file, { got }));
        });
      });
    } finally {
      await worker.terminate();
    }
  }
}

async function readFor({ file, server, running }: Task): Promise<Answer> {
  try {
    return await reloadSite(file, deserialize(running) as RunningSite, { server });
  } catch (error) {
    if (!isKomError(error)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

if (!isMainThread && (workerData as Partial<Task> | null)?.mark === MARK) {
  parentPort?.postMessage(await readFor(workerData as Task));
}
