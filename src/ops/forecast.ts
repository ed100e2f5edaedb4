import type {
  BufferSettings,
  Line,
  ModbusLine,
  ModbusStation,
  ModbusTable,
  Process,
  Site,
  StorePolicy,
} from '../config/model.ts';
import { POWER_CUT } from '../config/power-cut.ts';
import { powerCutBoundMs } from '../domain/power-cut.ts';
import { JOINED_BLOCK_SAMPLES_MAX, JOINED_SHARE_MAX, segmentBytesOf } from '../domain/segment-size.ts';
import { formatAddress } from '../world/transport.ts';

/**
 * What a site will do, from its file alone: load of the lines, samples, disk, flash, and what a power cut or
 * a full ring may cost. Every figure rests on these assumptions, which `kom check` prints.
 */
export const ASSUMPTIONS = {
  /** A Modbus TCP device answers within this, network included. */
  tcpRoundTripMs: 5,
  /** A device on a serial line starts its answer after this. */
  serialTurnaroundMs: 5,
  /** Share of polls that find a number changed, in a typical plant. */
  changedShareOfNumbers: 0.2,
  /** The same for bits and texts. */
  changedShareOfStates: 0.01,
  /** Bytes of a stored block beside its samples: header, key, checksum. */
  blockOverheadBytes: 120,
  /** Bytes of a sample in a block after compression. */
  sampleBytes: 3,
  /**
   * The same where small blocks were joined into full ones, the overhead included: measured are 1.54 of 1,000
   * mixed tags and 0.94 of ten, see docs/BENCHMARKS.md.
   */
  joinedSampleBytes: 1.6,
  /** LevelDB writes its log and then its table. */
  writeAmplification: 2,
  /** What one fsync costs the flash beside the data: a partly filled page and the journal. */
  syncBytes: 8192,
  /** Slowest fsync of a flash that is fit for it. */
  syncMs: 100,
} as const;

/** A line loaded more than this share of its time will not keep its scan periods under retries. */
export const BUS_LOAD_WARNING = 0.8;

const DAY_MS = 86_400_000;

/** What planning a station's reads gives. */
interface RequestPlan {
  readonly table: ModbusTable;
  readonly address: number;
  /** Registers or bits. */
  readonly count: number;
  readonly scanMs: number;
  readonly tags: readonly unknown[];
}

export type PlanRequests = (station: ModbusStation) => readonly RequestPlan[];

export interface RequestForecast extends Omit<RequestPlan, 'tags'> {
  readonly tagCount: number;
  /** Time on the line, request, answer and pause. */
  readonly busTimeMs: number;
}

interface StationForecast {
  readonly name: string;
  readonly mode: 'on' | 'off';
  /** Modbus only. */
  readonly unit?: number;
  readonly tagCount: number;
  readonly requests: readonly RequestForecast[];
  /** Share of the line's time, 1 is all of it. */
  readonly busLoad: number;
  readonly samplesPerSecond: Rate;
}

/** Samples per second. */
export interface Rate {
  /** Every poll or sampling finds a change. */
  readonly most: number;
  /** Under the assumptions on the share of changes. */
  readonly typical: number;
}

export interface LineForecast {
  readonly name: string;
  /** `modbus-tcp 10.0.0.5:502` */
  readonly channel: string;
  /** `null` for a line without requests of ours: OPC UA. */
  readonly busLoad: number | null;
  readonly tagCount: number;
  readonly samplesPerSecond: Rate;
  readonly stations: readonly StationForecast[];
}

export interface StoreForecast {
  /** Bytes a second into the ring while the Kernel is away. */
  readonly bytesPerSecond: Rate;
  /** How long an outage the ring holds without loss, in ms. */
  readonly outageHeldMs: Rate;
  /** Bytes written to flash a day. */
  readonly flashBytesPerDay: { readonly online: Rate; readonly outage: Rate };
  readonly whenFull: BufferSettings['whenFull'];
  /** What drop-oldest loses at a time. */
  readonly evictionBytes: number;
  readonly evictionMs: Rate;
}

interface PowerCutForecast {
  readonly blockAgeMs: number;
  /** 0 where every block is durable before it is sent. */
  readonly spillAgeMs: number;
  readonly syncMs: number;
  readonly boundMs: number;
  readonly configuredMs: number;
}

export interface ProcessForecast {
  readonly name: string;
  readonly tagCount: number;
  readonly samplesPerSecond: Rate;
  readonly lines: readonly LineForecast[];
  readonly store: StoreForecast;
  readonly powerCut: PowerCutForecast;
  /** What each store policy and each powerCutLossMax would cost instead. */
  readonly policies: readonly PolicyForecast[];
}

/** Bound and wear of one setting. */
interface PolicyForecast {
  readonly store: StorePolicy;
  readonly powerCutLossMax: string;
  readonly boundMs: number;
  readonly flashBytesPerDay: StoreForecast['flashBytesPerDay'];
  /** The setting of the file. */
  readonly isChosen: boolean;
}

/** Forecasts every process of a site that a server runs; of all servers if none is named. */
export function forecastSite(site: Site, planRequests: PlanRequests, server?: string): ProcessForecast[] {
  return site.processes
    .filter((process) => server === undefined || process.servers.includes(server))
    .map((process) => forecastProcess(process, planRequests));
}

/** Years until a flash has taken its bytes, at a daily volume. */
export function flashYears(tbwBytes: number, bytesPerDay: number): number {
  return tbwBytes / bytesPerDay / 365;
}

function forecastProcess(process: Process, planRequests: PlanRequests): ProcessForecast {
  const lines = process.lines.map((line) => forecastLine(line, planRequests));
  const samplesPerSecond = sumRates(lines.map((line) => line.samplesPerSecond));
  return {
    name: process.name,
    tagCount: lines.reduce((count, line) => count + line.tagCount, 0),
    samplesPerSecond,
    lines,
    store: forecastStore(process.buffer, samplesPerSecond),
    powerCut: forecastPowerCut(process.buffer),
    policies: forecastPolicies(process.buffer, samplesPerSecond),
  };
}

function forecastLine(line: Line, planRequests: PlanRequests): LineForecast {
  const stations =
    line.driver === 'modbus'
      ? line.stations.map((station) => forecastModbusStation(line, station, planRequests))
      : line.stations.map(({ name, mode, tags }): StationForecast => {
          const periods = tags.map((tag) => ({ ...tag, periodMs: Math.max(tag.samplingIntervalMs, 1) }));
          return {
            name,
            mode,
            tagCount: tags.length,
            requests: [],
            busLoad: 0,
            samplesPerSecond: mode === 'off' ? NO_RATE : rateOf(periods),
          };
        });
  return {
    name: line.name,
    channel: describeChannel(line),
    busLoad: line.driver === 'modbus' ? stations.reduce((load, station) => load + station.busLoad, 0) : null,
    tagCount: stations.reduce((count, station) => count + station.tagCount, 0),
    samplesPerSecond: sumRates(stations.map((station) => station.samplesPerSecond)),
    stations,
  };
}

/** `modbus-tcp 10.0.0.5:502`, `modbus-rtu /dev/ttyS1 19200 8E1`, `opcua opc.tcp://…` */
function describeChannel(line: Line): string {
  if (line.driver === 'opcua') return `opcua ${line.endpointUrl}`;
  const { channel } = line;
  if (channel.kind === 'rtu') {
    const parity = channel.parity.charAt(0).toUpperCase();
    return `modbus-rtu ${channel.device} ${channel.baudRate} ${channel.dataBits}${parity}${channel.stopBits}`;
  }
  const driver = channel.kind === 'tcp' ? 'modbus-tcp' : 'modbus-rtu-over-tcp';
  return `${driver} ${formatAddress(channel.address)}`;
}

function forecastModbusStation(
  line: ModbusLine,
  station: ModbusStation,
  planRequests: PlanRequests,
): StationForecast {
  const requests = planRequests(station).map(({ table, address, count, scanMs, tags }): RequestForecast => {
    const busTimeMs = requestTimeMs(line, table, count);
    return { table, address, count, scanMs, tagCount: tags.length, busTimeMs };
  });
  const isOff = station.mode === 'off';
  const periods = station.tags.map((tag) => ({ ...tag, periodMs: tag.scanMs }));
  return {
    name: station.name,
    mode: station.mode,
    unit: station.unit,
    tagCount: station.tags.length,
    requests,
    busLoad: isOff ? 0 : requests.reduce((load, { busTimeMs, scanMs }) => load + busTimeMs / scanMs, 0),
    samplesPerSecond: isOff ? NO_RATE : rateOf(periods),
  };
}

/**
 * Time that one read takes on its line, in ms. On a serial port: the characters of request (8 bytes) and
 * answer (5 bytes and the data) at the baud rate, a silence of 3.5 characters after each frame (1.75 ms above
 * 19,200 Bd; Modbus over serial line V1.02, 2.5.1.1), and the device's turnaround. Over TCP: a
 * round trip; the serial side behind a gateway is not known.
 */
export function requestTimeMs(line: ModbusLine, table: ModbusTable, count: number): number {
  const { channel, requestGapMs } = line;
  if (channel.kind !== 'rtu') return ASSUMPTIONS.tcpRoundTripMs + requestGapMs;
  const bitsPerCharacter = 1 + channel.dataBits + (channel.parity === 'none' ? 0 : 1) + channel.stopBits;
  const characterMs = (bitsPerCharacter * 1000) / channel.baudRate;
  const silenceMs = channel.baudRate > 19_200 ? 1.75 : 3.5 * characterMs;
  const isBits = table === 'coil' || table === 'discrete-input';
  const dataBytes = isBits ? Math.ceil(count / 8) : 2 * count;
  return (8 + 5 + dataBytes) * characterMs + 2 * silenceMs + ASSUMPTIONS.serialTurnaroundMs + requestGapMs;
}

interface Paced {
  readonly type: string;
  readonly periodMs: number;
  readonly reportAtLeastEveryMs: number;
}

const NO_RATE: Rate = { most: 0, typical: 0 };

function rateOf(tags: readonly Paced[]): Rate {
  const { changedShareOfNumbers, changedShareOfStates } = ASSUMPTIONS;
  return sumRates(
    tags.map(({ type, periodMs, reportAtLeastEveryMs }) => {
      const most = 1000 / periodMs;
      const isNumber = type === 'float64' || type === 'int64';
      const changed = most * (isNumber ? changedShareOfNumbers : changedShareOfStates);
      return { most, typical: Math.min(most, Math.max(changed, 1000 / reportAtLeastEveryMs)) };
    }),
  );
}

function sumRates(rates: readonly Rate[]): Rate {
  return {
    most: rates.reduce((sum, rate) => sum + rate.most, 0),
    typical: rates.reduce((sum, rate) => sum + rate.typical, 0),
  };
}

function mapRate(rate: Rate, change: (value: number) => number): Rate {
  return { most: change(rate.most), typical: change(rate.typical) };
}

function forecastStore(buffer: BufferSettings, samplesPerSecond: Rate): StoreForecast {
  const { blockOverheadBytes, sampleBytes, writeAmplification, syncBytes } = ASSUMPTIONS;
  const blocksPerSecond = mapRate(samplesPerSecond, (rate) => Math.min(rate, 1000 / buffer.blockAgeMs));
  const bytesOf = (samples: number, blocks: number): number =>
    samples * sampleBytes + blocks * blockOverheadBytes;
  const bytesPerSecond = {
    most: bytesOf(samplesPerSecond.most, blocksPerSecond.most),
    typical: bytesOf(samplesPerSecond.typical, blocksPerSecond.typical),
  };
  const aliveMarksPerDay = (DAY_MS / buffer.aliveMarkMs) * syncBytes;
  const dayOf = (bytes: number, blocks: number): number =>
    (bytes * writeAmplification + blocks * syncBytes) * (DAY_MS / 1000) + aliveMarksPerDay;
  const outage = {
    most: dayOf(bytesPerSecond.most, blocksPerSecond.most),
    typical: dayOf(bytesPerSecond.typical, blocksPerSecond.typical),
  };
  const online = buffer.store === 'always' ? outage : { most: aliveMarksPerDay, typical: aliveMarksPerDay };
  const evictionBytes = segmentBytesOf(buffer.capacityBytes, buffer.segmentBytesMax);
  const timeToWrite = (bytes: number): Rate =>
    mapRate(bytesPerSecond, (rate) => (rate === 0 ? Number.POSITIVE_INFINITY : (bytes / rate) * 1000));
  const heldMs = (of: keyof Rate): number => {
    const rates = { samples: samplesPerSecond[of], blocks: blocksPerSecond[of], bytes: bytesPerSecond[of] };
    return rates.samples === 0 ? Number.POSITIVE_INFINITY : heldSeconds(buffer, rates) * 1000;
  };
  return {
    bytesPerSecond,
    outageHeldMs: { most: heldMs('most'), typical: heldMs('typical') },
    flashBytesPerDay: { online, outage },
    whenFull: buffer.whenFull,
    evictionBytes,
    evictionMs: timeToWrite(evictionBytes),
  };
}

/**
 * How long the ring holds what comes. All segments but the one that is written to are sealed, and have joined
 * blocks where that pays; the one that drop-oldest drops to make room is not there to hold anything.
 */
function heldSeconds(
  { capacityBytes, segmentBytesMax, whenFull }: BufferSettings,
  rates: { readonly samples: number; readonly blocks: number; readonly bytes: number },
): number {
  const joinedRate = rates.samples * ASSUMPTIONS.joinedSampleBytes;
  const isJoined =
    rates.samples <= JOINED_BLOCK_SAMPLES_MAX * rates.blocks && joinedRate <= JOINED_SHARE_MAX * rates.bytes;
  const sealedRate = isJoined ? joinedRate : rates.bytes;
  const openBytes = segmentBytesOf(capacityBytes, segmentBytesMax);
  const droppedBytes = whenFull === 'drop-oldest' ? (openBytes * sealedRate) / rates.bytes : 0;
  return openBytes / rates.bytes + (capacityBytes - openBytes - droppedBytes) / sealedRate;
}

function forecastPowerCut(buffer: BufferSettings): PowerCutForecast {
  const spillAgeMs = buffer.store === 'always' ? 0 : buffer.spillAgeMs;
  const { syncMs } = ASSUMPTIONS;
  return {
    blockAgeMs: buffer.blockAgeMs,
    spillAgeMs,
    syncMs,
    boundMs: powerCutBoundMs({ ...buffer, writeMs: syncMs, stallMs: 0 }),
    configuredMs: buffer.powerCutLossMaxMs,
  };
}

function forecastPolicies(buffer: BufferSettings, samplesPerSecond: Rate): PolicyForecast[] {
  return (['on-outage', 'always'] as const).flatMap((store) =>
    Object.entries(POWER_CUT).map(([powerCutLossMax, { lossMaxMs, ...ages }]) => {
      const settings = { ...buffer, ...ages, store };
      return {
        store,
        powerCutLossMax,
        boundMs: forecastPowerCut(settings).boundMs,
        flashBytesPerDay: forecastStore(settings, samplesPerSecond).flashBytesPerDay,
        isChosen: store === buffer.store && lossMaxMs === buffer.powerCutLossMaxMs,
      };
    }),
  );
}
