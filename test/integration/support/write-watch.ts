import { connect, createServer, type Server, type Socket } from 'node:net';

/** OPC 10000-6: numeric ids of WriteRequest and CallRequest in binary encoding. */
const OPCUA_FORBIDDEN = new Map([
  [673, 'Write'],
  [712, 'Call'],
]);
/** Bytes before the body of an unsecured symmetric message: header, channel, token, sequence, request. */
const OPCUA_BODY_AT = 24;

/** Passes connections on to a device and looks at every request on its way. */
export class WriteWatch implements AsyncDisposable {
  /** Modbus function codes, or ids of OPC UA services, that went to the device, with how often. */
  readonly seen = new Map<number, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number, kind: 'modbus' | 'opcua') {
    this.#server = createServer((client) => {
      const device = connect(target, '127.0.0.1');
      let rest: Buffer = Buffer.alloc(0);
      client.on('data', (bytes) => {
        rest = Buffer.concat([rest, bytes]);
        rest = kind === 'modbus' ? this.#modbus(rest) : this.#opcua(rest);
        device.write(bytes);
      });
      device.on('data', (bytes) => client.write(bytes));
      for (const [one, other] of [
        [client, device],
        [device, client],
      ] as const) {
        this.#sockets.add(one);
        one.on('close', () => other.destroy()).on('error', () => other.destroy());
      }
    });
  }

  static async before(target: number, kind: 'modbus' | 'opcua'): Promise<WriteWatch> {
    const watch = new WriteWatch(target, kind);
    await new Promise<void>((resolve) => watch.#server.listen(0, '127.0.0.1', resolve));
    return watch;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Modbus application protocol: seven bytes of header with the length, then the function code. */
  #modbus(bytes: Buffer): Buffer {
    let rest = bytes;
    while (rest.length >= 8 && rest.length >= 6 + rest.readUInt16BE(4)) {
      this.#count(rest.readUInt8(7));
      rest = rest.subarray(6 + rest.readUInt16BE(4));
    }
    return rest;
  }

  #opcua(bytes: Buffer): Buffer {
    let rest = bytes;
    while (rest.length >= 8 && rest.length >= rest.readUInt32LE(4)) {
      const message = rest.subarray(0, rest.readUInt32LE(4));
      rest = rest.subarray(message.length);
      // Four-byte node id of namespace 0: encoding 1, namespace 0, the number.
      if (message.toString('latin1', 0, 3) === 'MSG' && message[OPCUA_BODY_AT] === 1) {
        this.#count(message.readUInt16LE(OPCUA_BODY_AT + 2));
      }
    }
    return rest;
  }

  #count(code: number): void {
    this.seen.set(code, (this.seen.get(code) ?? 0) + 1);
  }
}

/** Modbus Application Protocol V1.1b3, section 6: the function codes that only read. */
export const MODBUS_READING = [1, 2, 3, 4];

/** OPC UA services of these numbers that change something. */
export function forbiddenServices(seen: ReadonlyMap<number, number>): string[] {
  return [...OPCUA_FORBIDDEN].filter(([id]) => seen.has(id)).map(([, name]) => name);
}
