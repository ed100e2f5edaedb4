import type { ModbusLine } from '../../config/model.ts';

/** A read or single write request: unit, function, address, count or value, check (RTU; V1.02, 2.5.1). */
const REQUEST_BYTES = 8;
const FUNCTION_MIN = 1;
const FUNCTION_MAX = 6;
/** Bytes that are kept to look for a request in. */
const KEPT_BYTES_MAX = 1024;
/** Where no station is polled. */
const SCAN_DEFAULT_MS = 1000;
const SCANS = 2;

/**
 * What is heard on a bus on which this side asks nothing. A request with a right check is somebody else's;
 * answers and noise are not taken for one. Pure.
 */
export class BusListener {
  #bytes: Uint8Array = new Uint8Array();
  #requests = 0;

  /** Requests heard so far. */
  get requests(): number {
    return this.#requests;
  }

  heard(bytes: Uint8Array): void {
    const all = Buffer.concat([this.#bytes, bytes]);
    let at = 0;
    while (at + REQUEST_BYTES <= all.length) {
      if (!isRequest(all.subarray(at, at + REQUEST_BYTES))) {
        at += 1;
        continue;
      }
      this.#requests += 1;
      at += REQUEST_BYTES;
    }
    this.#bytes = all.subarray(Math.max(at, all.length - KEPT_BYTES_MAX));
  }
}

/**
 * So long is listened: two cycles of the fastest scan, within which whoever polls the line like this side
 * would must have asked, and the time for an answer between.
 */
export function listeningMs({ stations, responseTimeoutMs }: ModbusLine): number {
  const scans = stations
    .filter(({ mode }) => mode === 'on')
    .flatMap(({ tags }) => tags.map(({ scanMs }) => scanMs));
  const fastest = scans.length === 0 ? SCAN_DEFAULT_MS : Math.min(...scans);
  return SCANS * fastest + responseTimeoutMs;
}

function isRequest(bytes: Uint8Array): boolean {
  const code = bytes[1] ?? 0;
  if (code < FUNCTION_MIN || code > FUNCTION_MAX) return false;
  const check = crc16(bytes.subarray(0, REQUEST_BYTES - 2));
  return bytes[REQUEST_BYTES - 2] === (check & 0xff) && bytes[REQUEST_BYTES - 1] === check >> 8;
}

/** CRC-16 of Modbus (over Serial Line V1.02, 6.2.2). */
function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}
