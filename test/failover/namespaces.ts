import { closeAllBut, ip } from '../integration/support/namespaces.ts';

/** One end of a cable: the namespace, the name of the interface there, and its address. */
interface End {
  readonly at: string;
  readonly name: string;
  readonly address: string;
}

const [KERNEL, PLANT] = ['10.82.0.254', '10.81.0.254'];
export const NETWORK = {
  kernel: { host: KERNEL, port: 3119 },
  plant: { host: PLANT, port: 5020 },
  peers: { 1: { host: '10.83.0.1', port: 3120 }, 2: { host: '10.83.0.2', port: 3120 } },
} as const;

/**
 * Namespaces for two comm servers, an application server and a plant. The comm servers have a cable each to
 * the plant and to the application server, and one to each other. Their firewalls open 3119 and 3120 alone.
 */
export class Namespaces implements Disposable {
  readonly #prefix = `kom${process.pid}`;
  readonly server = { 1: `${this.#prefix}a`, 2: `${this.#prefix}b` } as const;
  readonly application = `${this.#prefix}k`;
  readonly plant = `${this.#prefix}p`;

  constructor() {
    try {
      for (const name of this.#all) {
        ip('netns', 'add', name);
        ip('-n', name, 'link', 'set', 'lo', 'up');
      }
      ip('-n', this.application, 'address', 'add', `${KERNEL}/32`, 'dev', 'lo');
      ip('-n', this.plant, 'address', 'add', `${PLANT}/32`, 'dev', 'lo');
      for (const instance of [1, 2] as const) this.#connect(instance);
      join(
        { at: this.server[1], name: 'peer', address: NETWORK.peers[1].host },
        { at: this.server[2], name: 'peer', address: NETWORK.peers[2].host },
      );
      closeAllBut(this.application, [3119]);
      for (const instance of [1, 2] as const) closeAllBut(this.server[instance], [3120]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Pulls the cable between a comm server and the application server, or plugs it in. */
  uplink(instance: 1 | 2, state: 'up' | 'down'): void {
    // The far end: routes of this one stay, as they do when a cable is pulled.
    ip('-n', this.application, 'link', 'set', `office${instance}`, state);
  }

  /** The same of the cable between the comm servers. */
  peerLink(state: 'up' | 'down'): void {
    ip('-n', this.server[2], 'link', 'set', 'peer', state);
  }

  [Symbol.dispose](): void {
    for (const name of this.#all) {
      try {
        ip('netns', 'del', name);
      } catch {
        // It was not made.
      }
    }
  }

  get #all(): readonly string[] {
    return [this.server[1], this.server[2], this.application, this.plant];
  }

  #connect(instance: 1 | 2): void {
    const at = this.server[instance];
    const cables = [
      { name: 'field', net: `10.81.${instance}`, far: this.plant, target: PLANT },
      { name: 'office', net: `10.82.${instance}`, far: this.application, target: KERNEL },
    ];
    for (const { name, net, far, target } of cables) {
      const end = { at: far, name: `${name}${instance}`, address: `${net}.254` };
      join({ at, name, address: `${net}.1` }, end);
      ip('-n', at, 'route', 'add', target, 'via', `${net}.254`);
    }
  }
}

function join(near: End, far: End): void {
  const peer = ['peer', 'name', far.name, 'netns', far.at];
  ip('link', 'add', near.name, 'netns', near.at, 'type', 'veth', ...peer);
  for (const { at, name, address } of [near, far]) {
    ip('-n', at, 'address', 'add', `${address}/24`, 'dev', name);
    ip('-n', at, 'link', 'set', name, 'up');
  }
}
