import { CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, GREETINGS_PER_ADDRESS_MAX } from './limits.ts';

/** Who is connected and who may be: counts by remote address, see limits.ts. */
export class Admission {
  readonly #all = new Map<string, number>();
  readonly #greeting = new Map<string, number>();
  #count = 0;

  /** Takes a connection in, or says why not. */
  enter(remote: string): string | null {
    const host = hostOf(remote);
    if (this.#count >= CONNECTIONS_MAX) return 'too many connections';
    if ((this.#all.get(host) ?? 0) >= CONNECTIONS_PER_ADDRESS_MAX)
      return 'too many connections of one address';
    if ((this.#greeting.get(host) ?? 0) >= GREETINGS_PER_ADDRESS_MAX)
      return 'too many connections of one address that did not say who they are';
    this.#count += 1;
    count(this.#all, host, 1);
    count(this.#greeting, host, 1);
    return null;
  }

  /** It said a right Hello, or is gone. */
  greeted(remote: string): void {
    count(this.#greeting, hostOf(remote), -1);
  }

  leave(remote: string): void {
    this.#count -= 1;
    count(this.#all, hostOf(remote), -1);
  }
}

function count(counts: Map<string, number>, host: string, by: 1 | -1): void {
  const next = (counts.get(host) ?? 0) + by;
  if (next <= 0) counts.delete(host);
  else counts.set(host, next);
}

/** `10.0.0.5:40112` → `10.0.0.5`, `[fe80::1]:40112` → `[fe80::1]`. */
function hostOf(remote: string): string {
  const end = remote.lastIndexOf(':');
  return end < 0 ? remote : remote.slice(0, end);
}
