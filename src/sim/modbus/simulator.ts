import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ModbusLine } from '../../config/model.ts';
import { KomError } from '../../domain/errors.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import { type Address, formatAddress } from '../../world/transport.ts';
import type { LineSimulator, ServedRecorder } from '../record.ts';
import { type RequestFrame, type RequestReader, rtuReader, tcpReader } from './framing.ts';
import { openSerialPort } from './serial.ts';
import { type AddressRange, exceptionPdu, SimulatedUnit } from './unit.ts';

/** How a station misbehaves. */
export interface StationFault {
  /** It does not answer at all. */
  readonly silent?: boolean;
  /** It answers everything with this exception code. */
  readonly exception?: number;
  /** It answers this late. */
  readonly delayMs?: number;
  /** Addresses that it answers with exception 02. */
  readonly illegal?: readonly AddressRange[];
}

export interface ModbusSimulatorOptions {
  readonly clock: Clock;
  /** Same seed, same values at the same time after the start. */
  readonly seed: number;
  readonly recorder: ServedRecorder;
  /** Where to serve, in place of the line's own channel: a TCP address (port 0: any), or a serial device. */
  readonly listen?: Address | { readonly device: string };
  /** Faults from the start, by station name. */
  readonly faults?: Readonly<Record<string, StationFault>>;
}

/** A running simulator of all units of a Modbus line. */
export interface ModbusLineSimulator extends LineSimulator {
  /** Where it listens; `null` on a serial port. */
  readonly address: Address | null;
  /** Makes a station misbehave from now on; `{}` heals it. */
  setFault(station: string, fault: StationFault): void;
}

const GATEWAY_TARGET_FAILED = 0x0b;

/**
 * Serves every station of a line on one channel: Modbus TCP, RTU over TCP, or RTU on a serial port.
 * @throws KomError KOM_CONNECTION_REFUSED if the address or device cannot be had
 */
export async function simulateModbusLine(
  line: ModbusLine,
  options: ModbusSimulatorOptions,
): Promise<ModbusLineSimulator> {
  const simulator = new Simulator(line, options);
  await simulator.open();
  return simulator;
}

class Simulator implements ModbusLineSimulator {
  readonly #line: ModbusLine;
  readonly #options: ModbusSimulatorOptions;
  readonly #startMs: number;
  readonly #units = new Map<number, { readonly unit: SimulatedUnit; readonly stations: readonly string[] }>();
  readonly #faults = new Map<string, StationFault>();
  readonly #unplugged = new Set<string>();
  readonly #sockets = new Set<Socket>();
  readonly #late = new Set<Timer>();
  #close: () => Promise<void> = async () => {};
  #address: Address | null = null;

  constructor(line: ModbusLine, options: ModbusSimulatorOptions) {
    this.#line = line;
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
    for (const address of new Set(line.stations.map((station) => station.unit))) {
      const stations = line.stations.filter((station) => station.unit === address);
      const tags = stations.flatMap((station) => station.tags);
      const names = stations.map((station) => station.name);
      this.#units.set(address, { unit: new SimulatedUnit(tags, options.seed), stations: names });
    }
    for (const [station, fault] of Object.entries(options.faults ?? {})) this.#faults.set(station, fault);
  }

  get address(): Address | null {
    return this.#address;
  }

  async open(): Promise<void> {
    const { channel } = this.#line;
    const { listen } = this.#options;
    if (listen !== undefined ? 'device' in listen : channel.kind === 'rtu') {
      await this.#openSerial();
    } else {
      const address =
        listen !== undefined && 'port' in listen ? listen : channel.kind === 'rtu' ? null : channel.address;
      if (address !== null) await this.#openTcp(address);
    }
  }

  unplug(station: string, unplugged: boolean): void {
    if (unplugged) this.#unplugged.add(station);
    else this.#unplugged.delete(station);
  }

  setFault(station: string, fault: StationFault): void {
    this.#faults.set(station, fault);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#late) timer.cancel();
    for (const socket of this.#sockets) socket.destroy();
    await this.#close();
  }

  async #openTcp(address: Address): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay();
      socket.on('close', () => this.#sockets.delete(socket));
      this.#serve(socket, this.#line.channel.kind === 'tcp' ? tcpReader() : rtuReader());
    });
    await listenOn(server, address);
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
    this.#address = { host: address.host, port };
    this.#close = () => new Promise((resolve) => server.close(() => resolve()));
  }

  async #openSerial(): Promise<void> {
    const { channel } = this.#line;
    const { listen } = this.#options;
    const settings =
      channel.kind === 'rtu'
        ? channel
        : { device: '', baudRate: 9600, parity: 'none' as const, dataBits: 8 as const, stopBits: 1 as const };
    const path = listen !== undefined && 'device' in listen ? listen.device : settings.device;
    const { baudRate, parity, dataBits, stopBits } = settings;
    try {
      const port = await openSerialPort(path, { baudRate, parity, dataBits, stopBits });
      this.#close = () => port.close();
      this.#serve(port.stream, rtuReader());
    } catch (cause) {
      throw new KomError('KOM_CONNECTION_REFUSED', `serial device ${path}`, { cause });
    }
  }

  #serve(stream: Duplex, reader: RequestReader): void {
    stream.on('error', () => stream.destroy());
    stream.on('data', (bytes: Uint8Array) => {
      for (const frame of reader.push(bytes)) this.#take(stream, frame);
    });
  }

  #take(stream: Duplex, frame: RequestFrame): void {
    const delayMs = this.#faultOf(frame.unit).delayMs ?? 0;
    if (delayMs === 0) {
      this.#answer(stream, frame);
      return;
    }
    const timer = this.#options.clock.schedule('late answer', delayMs, () => {
      this.#late.delete(timer);
      this.#answer(stream, frame);
    });
    this.#late.add(timer);
  }

  #answer(stream: Duplex, frame: RequestFrame): void {
    const functionCode = frame.pdu[0] ?? 0;
    const served = this.#units.get(frame.unit);
    if (served === undefined) {
      // A bus is silent about a unit that is not there; a TCP gateway says so.
      if (this.#line.channel.kind !== 'tcp') return;
      stream.write(frame.wrap(exceptionPdu(functionCode, GATEWAY_TARGET_FAILED)));
      return;
    }
    const fault = this.#faultOf(frame.unit);
    if (fault.silent === true || stream.destroyed) return;
    if (fault.exception !== undefined) {
      stream.write(frame.wrap(exceptionPdu(functionCode, fault.exception)));
      return;
    }
    const { clock, recorder } = this.#options;
    const answer = served.unit.answer(frame.pdu, clock.monotonicMs() - this.#startMs, fault.illegal ?? []);
    const servedAtUs = clock.wallUs();
    for (const { tag, value } of answer.served) {
      recorder.served({ tag: tag.name, value, servedAtUs, sourceTimeUs: null });
    }
    stream.write(frame.wrap(answer.pdu));
  }

  #faultOf(address: number): StationFault {
    const stations = this.#units.get(address)?.stations ?? [];
    if (stations.some((station) => this.#unplugged.has(station))) return { silent: true };
    return Object.assign({}, ...stations.map((station) => this.#faults.get(station)));
  }
}

function listenOn(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new KomError('KOM_LISTEN', formatAddress(address), { cause }));
    });
    server.listen(address.port, address.host, () => resolve());
  });
}
