import { isDeepStrictEqual } from 'node:util';
import type { KernelAddress } from '../config/model.ts';
import type { Address } from '../world/transport.ts';

/** One way to a Kernel from this comm server. */
export interface KernelPath extends Address {
  /** Where connections leave from; `null`: the system's choice. */
  readonly localAddress: string | null;
  /** The file says that it may run without TLS. */
  readonly insecure: boolean;
}

export interface KernelPathsOptions {
  /** Name of this server, for its local address on each path. */
  readonly server: string;
  readonly localAddress?: string;
}

/** Every way to a Kernel that the site file ever named, each by a number that stays its own. */
export class KernelPaths {
  readonly #options: KernelPathsOptions;
  readonly #paths: KernelPath[] = [];

  constructor(options: KernelPathsOptions) {
    this.#options = options;
  }

  /** Numbers of the ways that the file names now, the preferred one first, each once. */
  numbersOf(kernels: readonly KernelAddress[]): number[] {
    return [...new Set(kernels.map((kernel) => this.#numberOf(kernel)))];
  }

  get(number: number): KernelPath {
    const path = this.#paths[number];
    if (path === undefined) throw new RangeError(`there is no way ${number} to a Kernel`);
    return path;
  }

  #numberOf({ host, port, insecure, localAddresses }: KernelAddress): number {
    const { server, localAddress } = this.#options;
    const path = { host, port, insecure, localAddress: localAddresses[server] ?? localAddress ?? null };
    const known = this.#paths.findIndex((each) => isDeepStrictEqual(each, path));
    return known === -1 ? this.#paths.push(path) - 1 : known;
  }
}
