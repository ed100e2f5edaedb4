import type { DataValue, OPCUAServer, UAVariable } from 'node-opcua';
import type { OpcuaLine } from '../../config/model.ts';
import { invariant } from '../../domain/errors.ts';
import { Quality } from '../../domain/quality.ts';
import type { SampleValue } from '../../domain/sample.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import { type Log, silentLog } from '../../world/log.ts';
import type { LineSimulator, ServedRecorder } from '../record.ts';
import { createPoint, nextValue, type Point } from './plant.ts';
import { recordQueued } from './queued.ts';
import {
  createOpcuaServer,
  type Endpoint,
  endpointOf,
  loadOpcuaServer,
  type OpcuaServerLibrary,
  type PkiPlace,
  pkiPlace,
} from './server.ts';
import { addVariables } from './space.ts';
import { shownValue, variantOf } from './variant.ts';

export interface OpcuaSimulatorOptions {
  readonly clock: Clock;
  readonly seed: number;
  readonly recorder: ServedRecorder;
  /** Listens here instead of at the port of the line; 0: any free port. */
  readonly port?: number;
  /** Keys and certificates of the server; a temporary directory if not set. */
  readonly pkiDirectory?: string;
  readonly log?: Log;
}

export interface OpcuaSimulator extends LineSimulator {
  readonly endpointUrl: string;
  /** Sessions that the server holds now, and has ever held. */
  sessions(): { readonly current: number; readonly ever: number };
  /** How often the points have changed since the start. */
  changes(): number;
  /** The server goes away at once, with every session; the plant behind it goes on. */
  stopServer(): Promise<void>;
  /** A new server at the same address, which knows nothing of former sessions. */
  startServer(): Promise<void>;
}

/**
 * Simulates the server of a line: every tag's node exists, holds a value of a type that suits the tag, and
 * changes at a pace of its own. The recorder is told of exactly those values that went into the queue of a
 * live monitored item.
 *
 * An unplugged station is a device that the server lost: its values become BadNoCommunication, once.
 */
export async function simulateOpcuaLine(
  line: OpcuaLine,
  options: OpcuaSimulatorOptions,
): Promise<OpcuaSimulator> {
  const library = await loadOpcuaServer(options.log ?? silentLog);
  const endpoint = endpointOf(line, options.port);
  const place = await pkiPlace(options.pkiDirectory);
  const simulator = new Simulator({ library, line, endpoint, place, options });
  try {
    await simulator.startServer();
    return simulator;
  } catch (error) {
    await simulator[Symbol.asyncDispose]();
    throw error;
  }
}

/** How finely the plant's time runs. */
const TICK_MS = 20;

interface Parts {
  readonly library: OpcuaServerLibrary;
  readonly line: OpcuaLine;
  readonly endpoint: Endpoint;
  readonly place: PkiPlace;
  readonly options: OpcuaSimulatorOptions;
}

class Simulator implements OpcuaSimulator {
  readonly #parts: Parts;
  readonly #points: ReadonlyMap<string, readonly Point[]>;
  readonly #unplugged = new Set<string>();
  readonly #ticker: Timer;
  #variables = new Map<Point, UAVariable>();
  #server: OPCUAServer | undefined;
  /** Its port is known, and kept, once the server has listened. */
  #endpoint: Endpoint;
  #sessionsBefore = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { line, endpoint, options } = parts;
    this.#endpoint = endpoint;
    const { clock, seed } = options;
    const nowMs = clock.monotonicMs();
    this.#points = new Map(
      line.stations.map(({ name, tags }) => [name, tags.map((tag) => createPoint(tag, seed, nowMs))]),
    );
    const startMs = Math.floor(clock.wallUs() / 1000);
    for (const points of this.#points.values()) for (const point of points) point.sourceTimeMs = startMs;
    this.#ticker = clock.repeat('opcua-plant', TICK_MS, () => this.#tick());
  }

  get endpointUrl(): string {
    const { host, port, path } = this.#endpoint;
    return `opc.tcp://${host}:${port}${path}`;
  }

  sessions(): { current: number; ever: number } {
    const engine = this.#server?.engine;
    return {
      current: engine?.currentSessionCount ?? 0,
      ever: this.#sessionsBefore + (engine?.cumulatedSessionCount ?? 0),
    };
  }

  changes(): number {
    return [...this.#points.values()].flat().reduce((sum, { changes }) => sum + changes, 0);
  }

  unplug(station: string, unplugged: boolean): void {
    const points = this.#points.get(station);
    invariant(points !== undefined, `station ${station} is simulated`);
    if (unplugged === this.#unplugged.has(station)) return;
    if (unplugged) this.#unplugged.add(station);
    else this.#unplugged.delete(station);
    for (const point of points) this.#advance(point, { value: unplugged ? null : nextValue(point) });
  }

  async startServer(): Promise<void> {
    if (this.#server !== undefined) return;
    const { library, line, place, options } = this.#parts;
    const server = await createOpcuaServer(library, line, {
      endpoint: this.#endpoint,
      directory: place.directory,
    });
    this.#server = server;
    const variables = addVariables(library, server, this.#points);
    this.#variables = variables;
    for (const point of variables.keys()) this.#show(point);
    const tagOf = new Map(
      [...variables].map(([point, variable]) => [variable.nodeId.toString(), point.tag.name]),
    );
    recordQueued(server, (nodeId, value) => {
      const tag = tagOf.get(nodeId);
      if (tag !== undefined) options.recorder.served(this.#served(tag, value));
    });
    await server.start();
    this.#endpoint = { ...this.#endpoint, port: server.endpoints[0]?.port ?? this.#endpoint.port };
  }

  async stopServer(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#sessionsBefore += server.engine.cumulatedSessionCount;
    this.#server = undefined;
    this.#variables = new Map();
    await server.shutdown(0);
    server.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ticker.cancel();
    await this.stopServer();
    await this.#parts.place[Symbol.asyncDispose]();
  }

  #tick(): void {
    const nowMs = this.#parts.options.clock.monotonicMs();
    for (const [station, points] of this.#points) {
      if (this.#unplugged.has(station)) continue;
      for (const point of points) {
        if (point.dueMs > nowMs) continue;
        point.dueMs = Math.max(point.dueMs + point.periodMs, nowMs);
        this.#advance(point, { value: nextValue(point) });
      }
    }
  }

  #advance(point: Point, { value }: { value: SampleValue }): void {
    const wallMs = Math.floor(this.#parts.options.clock.wallUs() / 1000);
    point.sourceTimeMs = Math.max(point.sourceTimeMs + 1, wallMs);
    point.changes += 1;
    if (value !== null) point.value = value;
    this.#show(point, value === null);
  }

  #show(point: Point, isLost = this.#unplugged.has(stationOf(this.#points, point))): void {
    const { StatusCodes } = this.#parts.library;
    const status = isLost ? StatusCodes.BadNoCommunication : StatusCodes.Good;
    const variant = variantOf(this.#parts.library, point);
    this.#variables.get(point)?.setValueFromSource(variant, status, new Date(point.sourceTimeMs));
  }

  #served(tag: string, queued: DataValue): Parameters<ServedRecorder['served']>[0] {
    const isUsable = queued.statusCode.value < Quality.bad;
    return {
      tag,
      value: isUsable ? shownValue(queued) : null,
      servedAtUs: this.#parts.options.clock.wallUs(),
      sourceTimeUs: (queued.sourceTimestamp?.getTime() ?? 0) * 1000,
    };
  }
}

function stationOf(stations: ReadonlyMap<string, readonly Point[]>, point: Point): string {
  for (const [name, points] of stations) if (points.includes(point)) return name;
  return '';
}
