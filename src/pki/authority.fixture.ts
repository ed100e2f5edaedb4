import type { PkiFolder } from './authority.ts';

/** A directory in memory that refuses what a real one would. */
export class MemoryPkiFolder implements PkiFolder {
  readonly #files = new Map<string, { readonly text: string; readonly isSecret: boolean }>();

  read(path: string): string | null {
    return this.#files.get(path)?.text ?? null;
  }

  write(path: string, text: string, how: { isSecret?: boolean; replace?: boolean } = {}): void {
    if (this.#files.has(path) && how.replace !== true) throw new Error(`${path} is there`);
    this.#files.set(path, { text, isSecret: how.isSecret === true });
  }

  list(path: string): readonly string[] {
    const prefix = path === '' ? '' : `${path}/`;
    const inside = [...this.#files.keys()].filter((each) => each.startsWith(prefix));
    return [...new Set(inside.map((each) => each.slice(prefix.length).split('/')[0] ?? ''))].sort();
  }

  move(from: string, to: string): void {
    for (const [path, file] of [...this.#files]) {
      if (!path.startsWith(`${from}/`)) continue;
      this.#files.delete(path);
      this.#files.set(to + path.slice(from.length), file);
    }
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  /** What is there for sure. */
  text(path: string): string {
    const text = this.read(path);
    if (text === null) throw new Error(`no ${path}`);
    return text;
  }

  get secrets(): string[] {
    return [...this.#files].flatMap(([path, { isSecret }]) => (isSecret ? path : [])).sort();
  }
}
