import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { decodeMessage } from '../../../src/uplink/codec.ts';
import { FrameSplitter, frame } from '../../../src/uplink/frame.ts';
import { FRAME_BYTES_MAX } from '../../../src/uplink/limits.ts';
import type { Lane } from '../../../src/uplink/messages.ts';
import type { Address } from '../../../src/world/transport.ts';

export type Direction = 'up' | 'down';

/** What is done to one connection, once so many frames have passed in one direction. */
export type Behaviour =
  | {
      /**
       * `cut`: both ends are reset. `tear`: the same in the middle of the next frame. `half-close`: this
       * direction ends, the other goes on. `silence`: nothing passes any more, and nobody is told.
       */
      readonly kind: 'cut' | 'tear' | 'half-close' | 'silence';
      readonly direction: Direction;
      readonly afterFrames: number;
    }
  | { readonly kind: 'delay'; readonly ms: number }
  /** The bytes that the agent said before are said again on a connection of their own, beside this one. */
  | { readonly kind: 'replay' };

const RECORDINGS_MAX = 4;

/** A proxy between an agent and a Kernel that treats their connections badly, by plan. */
export class HostileProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #recordings: Buffer[] = [];
  target: Address = { host: '127.0.0.1', port: 0 };
  /** Taken in order by the connections of each lane; without a plan they pass. */
  readonly plans: Record<Lane, Behaviour[]> = {
    control: [],
    data: [],
    probe: [],
    peer: [],
    watch: [],
    kernel: [],
  };
  /** How often each kind came about. */
  readonly done = new Map<string, number>();

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#carry(near));
  }

  static async start(): Promise<HostileProxy> {
    const proxy = new HostileProxy();
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): Address {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return { host: '127.0.0.1', port: address.port };
  }

  get isDone(): boolean {
    return this.plans.control.length === 0 && this.plans.data.length === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  /** Breaks every connection. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    // Broken connections are what this is for.
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #carry(accepted: Socket): void {
    const near = this.#keep(accepted);
    const far = this.#keep(connect({ ...this.target, allowHalfOpen: true, noDelay: true }));
    const said: Buffer[] = [];
    const wire: Wire = { near, far, plan: undefined };
    const up = this.#pump(wire, 'up');
    const down = this.#pump(wire, 'down');
    near.on('data', (bytes) => {
      said.push(bytes);
      up(bytes);
    });
    far.on('data', down);
    near.on('end', () => far.end());
    far.on('end', () => near.end());
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.on('close', () => this.#record(Buffer.concat(said)));
  }

  #pump(wire: Wire, direction: Direction): (bytes: Buffer) => void {
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    let frames = 0;
    return (bytes) => {
      for (const payload of splitter.push(bytes)) {
        if (direction === 'up' && frames === 0) wire.plan = this.#planFor(payload);
        const { plan } = wire;
        const isTime =
          plan !== undefined &&
          'direction' in plan &&
          plan.direction === direction &&
          frames >= plan.afterFrames;
        frames += 1;
        if (isTime) this.#act(wire, direction, payload);
        else if (wire.isOver !== true) this.#forward(wire, direction, frame(payload));
      }
    };
  }

  #planFor(payload: Uint8Array): Behaviour | undefined {
    const message = decodeMessage(payload);
    if (message.type !== 'hello') return undefined;
    const plan = this.plans[message.hello.lane].shift();
    if (plan?.kind === 'replay') this.#replay();
    if (plan !== undefined && !('direction' in plan)) this.#count(plan.kind);
    return plan;
  }

  #act(wire: Wire, direction: Direction, payload: Uint8Array): void {
    const kind = wire.plan?.kind;
    const to = direction === 'up' ? wire.far : wire.near;
    if (wire.isOver !== true && kind !== undefined) this.#count(`${kind} ${direction}`);
    if (kind === 'tear' && wire.isOver !== true) {
      const whole = frame(payload);
      to.write(whole.subarray(0, Math.ceil(whole.length / 2)));
      setTimeout(() => reset(wire), 5);
    } else if (kind === 'cut') reset(wire);
    else if (kind === 'half-close') to.end();
    if (kind !== 'half-close') wire.isOver = true;
  }

  #forward({ near, far, plan }: Wire, direction: Direction, bytes: Uint8Array): void {
    const to = direction === 'up' ? far : near;
    if (plan?.kind !== 'delay') to.write(bytes);
    // Timers of one delay fire in order, so the bytes stay in order.
    else setTimeout(() => to.writable && to.write(bytes), plan.ms);
  }

  #record(said: Buffer): void {
    this.#recordings.push(said);
    if (this.#recordings.length > RECORDINGS_MAX) this.#recordings.shift();
  }

  #replay(): void {
    for (const said of this.#recordings) {
      const socket = this.#keep(connect({ ...this.target }));
      socket.resume();
      socket.write(said);
      setTimeout(() => socket.destroy(), 200);
    }
  }

  #count(kind: string): void {
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
  }
}

interface Wire {
  readonly near: Socket;
  readonly far: Socket;
  plan: Behaviour | undefined;
  isOver?: true;
}

function reset({ near, far }: Wire): void {
  near.resetAndDestroy();
  far.resetAndDestroy();
}
