import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../../src/world/transport.ts';

/** `silent`: nothing passes and nobody is told, as if the cable were pulled. `cut`: connections are reset. */
type State = 'whole' | 'silent' | 'cut';

/** Makes other bytes of what runs through one connection. */
export interface WireDisguise {
  toFar(bytes: Uint8Array): Uint8Array;
  toNear(bytes: Uint8Array): Uint8Array;
}

/** Makes other bytes of what runs through a cable; `from`: the address of who dials. */
export interface Disguise {
  wire(from: string): WireDisguise;
}

interface Wire {
  readonly from: string;
  readonly near: Socket;
  far: Socket | null;
  isOver: boolean;
}

/**
 * A cable between two processes that can be pulled: the bytes then wait, as those of TCP do, and go on when
 * it is plugged in again. It can be pulled for what comes from one address alone.
 */
export class LooseCable implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: Address;
  readonly #wires = new Set<Wire>();
  readonly #states = new Map<string, State>();
  readonly #disguise: Disguise | null;

  private constructor(target: Address, disguise: Disguise | null) {
    this.#target = target;
    this.#disguise = disguise;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (near) => {
      this.#accept(near);
    });
  }

  static async lay(target: Address, disguise: Disguise | null = null): Promise<LooseCable> {
    const cable = new LooseCable(target, disguise);
    cable.#server.listen(0, '127.0.0.1');
    await once(cable.#server, 'listening');
    return cable;
  }

  get address(): Address {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return { host: '127.0.0.1', port: address.port };
  }

  /** Pulls it, for everybody or for what comes from an address. */
  pull(from = ''): void {
    this.#set(from, 'silent');
  }

  /** Resets all connections, and those that come. */
  cut(from = ''): void {
    this.#set(from, 'cut');
  }

  plugIn(from = ''): void {
    this.#set(from, 'whole');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of this.#wires) end(wire);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #set(from: string, state: State): void {
    this.#states.set(from, state);
    for (const wire of this.#wires) this.#follow(wire);
  }

  #stateOf({ from }: Wire): State {
    const states = [this.#states.get(from), this.#states.get('')];
    if (states.includes('cut')) return 'cut';
    return states.includes('silent') ? 'silent' : 'whole';
  }

  #accept(near: Socket): void {
    const wire: Wire = { from: near.remoteAddress ?? '', near, far: null, isOver: false };
    this.#wires.add(wire);
    this.#watch(wire, near);
    this.#follow(wire);
  }

  #follow(wire: Wire): void {
    const state = this.#stateOf(wire);
    if (state === 'cut') end(wire);
    else if (state === 'silent') {
      wire.near.pause();
      wire.far?.pause();
    } else if (wire.isOver) end(wire);
    else {
      if (wire.far === null) this.#join(wire);
      wire.near.resume();
      wire.far?.resume();
    }
  }

  #join(wire: Wire): void {
    const far = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    wire.far = far;
    this.#watch(wire, far);
    const disguise = this.#disguise?.wire(wire.from);
    const same = (bytes: Uint8Array): Uint8Array => bytes;
    pump(wire.near, far, disguise?.toFar ?? same);
    pump(far, wire.near, disguise?.toNear ?? same);
  }

  #watch(wire: Wire, socket: Socket): void {
    // Broken connections are what this is for.
    socket.on('error', () => {});
    socket.on('close', () => {
      wire.isOver = true;
      // Over a pulled cable nobody hears of the end of the other.
      if (this.#stateOf(wire) !== 'silent') end(wire);
      if (wire.near.destroyed && wire.far?.destroyed !== false) this.#wires.delete(wire);
    });
  }
}

function pump(from: Socket, to: Socket, translate: (bytes: Uint8Array) => Uint8Array): void {
  from.on('data', (bytes) => to.write(translate(bytes)));
  from.on('end', () => to.end());
}

function end(wire: Wire): void {
  wire.isOver = true;
  wire.near.resetAndDestroy();
  wire.far?.resetAndDestroy();
}
