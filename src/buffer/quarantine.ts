import { describeError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import type { Disk } from '../world/store.ts';

const FOLDER = 'quarantine';
const DIRECTORIES_MAX = 4;

export interface QuarantineOptions {
  /** Bound on what is kept; the oldest goes first. */
  readonly bytesMax: number;
  readonly log: Log;
}

/** Where directories go that the ring cannot use: kept for a while for whoever wants to look. */
export class Quarantine {
  readonly #disk: Disk;
  readonly #options: QuarantineOptions;
  #bytes = 0;

  constructor(disk: Disk, options: QuarantineOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** On disk, as of the last change. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Moves a closed database here and keeps the bounds. @throws KomError KOM_STORE_WRITE */
  async take(name: string): Promise<void> {
    const newest = (await this.#disk.list(FOLDER)).at(-1) ?? '';
    const number = (Number.parseInt(newest, 10) || 0) + 1;
    await this.#disk.rename(name, `${FOLDER}/${String(number).padStart(4, '0')}-${name}`);
    this.#options.log.warn({ name }, 'set aside in quarantine');
    await this.trim();
  }

  /** Deletes the oldest until the bounds hold; what the disk does not delete is tried again next time. */
  async trim(): Promise<void> {
    try {
      const names = await this.#disk.list(FOLDER);
      const sizes = new Map<string, number>();
      for (const name of names) sizes.set(name, await this.#disk.usedBytes(`${FOLDER}/${name}`));
      let bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      let left = names.length;
      for (const [name, size] of sizes) {
        if (left <= DIRECTORIES_MAX && bytes <= this.#options.bytesMax) break;
        await this.#disk.remove(`${FOLDER}/${name}`);
        bytes -= size;
        left -= 1;
      }
      this.#bytes = bytes;
    } catch (error) {
      this.#options.log.warn({ error: describeError(error) }, 'the quarantine could not be trimmed');
    }
  }
}
