import { closeAllBut, ip } from '../integration/support/namespaces.ts';

/** What a host is plugged into, and what its firewall lets in. */
export interface HostPlan {
  /** The last number of its address, or of each of them, by name of network. */
  readonly at: Readonly<Record<string, number | readonly number[]>>;
  /** TCP ports that others may open connections to; not given: there is no firewall. */
  readonly opens?: readonly number[];
  /** Its cables carry no more than this, bits a second each way. */
  readonly bitsPerS?: number;
}

/** Networks and hosts of an architecture. */
export interface NetworkPlan {
  /** The first three numbers of its addresses, by name of network. They begin with 10. */
  readonly networks: Readonly<Record<string, string>>;
  readonly hosts: Readonly<Record<string, HostPlan>>;
}

/** Where the hosts of an architecture live: network namespaces, or the loopback of this machine. */
export interface Network extends Disposable {
  /** Cables can be pulled and firewalls hold. */
  readonly isReal: boolean;
  /** The namespace of a host; `undefined` on the loopback. */
  namespaceOf(host: string): string | undefined;
  /** A file as it is written for this place: on the loopback other addresses, and no privileged port. */
  placed(text: string): string;
  /** Pulls the cable between a host and a network, or plugs it in. */
  cable(host: string, network: string, state: 'up' | 'down'): void;
  /** Gives a host one more address in a network, or takes it away: the one that a cluster is reached by. */
  address(host: string, network: string, last: number, what: 'add' | 'del'): void;
}

/** Ports below 1024 need privileges; on the loopback they are moved up by so much. */
const PORT_STEP = 15_000;

/** Every address of 127.0.0.0/8 is this machine's: 10.x.y.z becomes 127.x.y.z. */
export class LoopbackNetwork implements Network {
  readonly isReal = false;

  namespaceOf(): undefined {
    return undefined;
  }

  placed(text: string): string {
    return text
      .replace(/\b10\.\d{1,3}\.\d{1,3}\.0\/24\b/g, '127.0.0.0/8')
      .replace(/\b10\.(\d{1,3}\.\d{1,3}\.\d{1,3})\b/g, '127.$1')
      .replace(/(\b127\.\d{1,3}\.\d{1,3}\.\d{1,3}):(\d{1,3})\b(?!\d)/g, (_, host, port) => {
        return `${host}:${Number(port) + PORT_STEP}`;
      });
  }

  cable(): never {
    throw new Error('the loopback has no cables');
  }

  address(): void {
    // They are all there.
  }

  [Symbol.dispose](): void {
    // There is nothing to take down.
  }
}

/** A namespace for each host, and one with a bridge for each network, as its switch. */
export class NamespaceNetwork implements Network {
  readonly isReal = true;
  readonly #prefix: string;
  readonly #plan: NetworkPlan;
  readonly #made: string[] = [];

  constructor(plan: NetworkPlan, tag: string) {
    this.#plan = plan;
    this.#prefix = `kom${process.pid}${tag}`;
    try {
      for (const network of Object.keys(plan.networks)) {
        this.#add(this.#switchOf(network));
        ip('-n', this.#switchOf(network), 'link', 'add', 'bridge', 'type', 'bridge');
        ip('-n', this.#switchOf(network), 'link', 'set', 'bridge', 'up');
      }
      for (const [host, { at, opens, bitsPerS }] of Object.entries(plan.hosts)) {
        this.#add(this.namespaceOf(host));
        for (const [network, last] of Object.entries(at)) {
          this.#plug(host, network, [last].flat());
          if (bitsPerS !== undefined) this.#slow(host, network, bitsPerS);
        }
        if (opens !== undefined) closeAllBut(this.namespaceOf(host), opens);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  namespaceOf(host: string): string {
    return `${this.#prefix}h${Object.keys(this.#plan.hosts).indexOf(host)}`;
  }

  placed(text: string): string {
    return text;
  }

  cable(host: string, network: string, state: 'up' | 'down'): void {
    // The end at the switch: the host keeps its address and routes, as it does when a cable is pulled.
    ip('-n', this.#switchOf(network), 'link', 'set', this.#portOf(host), state);
  }

  address(host: string, network: string, last: number, what: 'add' | 'del'): void {
    const address = `${this.#plan.networks[network]}.${last}/24`;
    ip('-n', this.namespaceOf(host), 'address', what, address, 'dev', deviceOf(network));
    // As everybody forgets where it was when a cluster says so by a gratuitous ARP.
    for (const [name, { at }] of Object.entries(this.#plan.hosts)) {
      if (network in at) ip('-n', this.namespaceOf(name), 'neigh', 'flush', 'dev', deviceOf(network));
    }
  }

  [Symbol.dispose](): void {
    for (const name of this.#made.splice(0)) ip('netns', 'del', name);
  }

  #add(name: string): void {
    ip('netns', 'add', name);
    this.#made.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  #plug(host: string, network: string, addresses: readonly number[]): void {
    const [near, far] = [this.namespaceOf(host), this.#switchOf(network)];
    const [device, port] = [deviceOf(network), this.#portOf(host)];
    ip('link', 'add', device, 'netns', near, 'type', 'veth', 'peer', 'name', port, 'netns', far);
    for (const last of addresses) {
      ip('-n', near, 'address', 'add', `${this.#plan.networks[network]}.${last}/24`, 'dev', device);
    }
    ip('-n', near, 'link', 'set', device, 'up');
    ip('-n', far, 'link', 'set', port, 'master', 'bridge', 'up');
  }

  #slow(host: string, network: string, bitsPerS: number): void {
    const limit = ['tbf', 'rate', `${bitsPerS}bit`, 'burst', '4kb', 'latency', '500ms'];
    tc(this.namespaceOf(host), deviceOf(network), limit);
    tc(this.#switchOf(network), this.#portOf(host), limit);
  }

  #switchOf(network: string): string {
    return `${this.#prefix}n${Object.keys(this.#plan.networks).indexOf(network)}`;
  }

  #portOf(host: string): string {
    return `port${Object.keys(this.#plan.hosts).indexOf(host)}`;
  }
}

/** Names of devices have 15 characters at most. */
function deviceOf(network: string): string {
  return network.slice(0, 15);
}

function tc(namespace: string, device: string, limit: readonly string[]): void {
  ip('netns', 'exec', namespace, 'tc', 'qdisc', 'add', 'dev', device, 'root', ...limit);
}
