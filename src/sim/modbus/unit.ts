import type { ModbusTable, ModbusTag } from '../../config/model.ts';
import type { SampleValue } from '../../domain/sample.ts';
import { engineeringValue, type RawValue, rawValueAt, stepMsOf } from './behaviour.ts';
import { decodeRegisters, encodeNumber, sizeOf, withBit } from './registers.ts';

/** A range of addresses, both ends included. */
export interface AddressRange {
  readonly table: ModbusTable;
  readonly first: number;
  readonly last: number;
}

/** What one answer of a unit says. */
export interface UnitAnswer {
  /** The protocol data unit that goes back. */
  readonly pdu: Uint8Array;
  /** Every tag that lies wholly inside the answer, with its value in engineering units. */
  readonly served: readonly { readonly tag: ModbusTag; readonly value: SampleValue }[];
}

const TABLES: Readonly<Record<number, ModbusTable>> = {
  1: 'coil',
  2: 'discrete-input',
  3: 'holding-register',
  4: 'input-register',
};

/** The largest counts of one read (Modbus Application Protocol V1.1b3, 6.1 to 6.4). */
const COUNT_MAX: Readonly<Record<ModbusTable, number>> = {
  coil: 2000,
  'discrete-input': 2000,
  'holding-register': 125,
  'input-register': 125,
};

interface Point {
  readonly tag: ModbusTag;
  readonly last: number;
  readonly stepMs: number;
  /** Shares a register with another tag: what it serves is read back from the image. */
  readonly overlaps: boolean;
}

/** A simulated unit: its registers are a function of the seed, its tags and the time. It can only be read. */
export class SimulatedUnit {
  readonly #points = new Map<ModbusTable, readonly Point[]>();
  readonly #seed: number;

  constructor(tags: readonly ModbusTag[], seed: number) {
    this.#seed = seed;
    for (const table of Object.values(TABLES)) {
      const inTable = tags.filter((tag) => tag.table === table).sort(inWritingOrder);
      this.#points.set(
        table,
        inTable.map((tag) => ({
          tag,
          last: tag.address + sizeOf(tag) - 1,
          stepMs: stepMsOf(tag, seed),
          overlaps: inTable.some((other) => clash(tag, other)),
        })),
      );
    }
  }

  /**
   * The answer to a request, as the device is `atMs` after its start.
   * @param illegal addresses that this unit refuses although they lie inside its image
   */
  answer(pdu: Uint8Array, atMs: number, illegal: readonly AddressRange[]): UnitAnswer {
    const functionCode = pdu[0] ?? 0;
    const table = TABLES[functionCode];
    if (table === undefined) return { pdu: exceptionPdu(functionCode, 0x01), served: [] };
    if (pdu.length !== 5) return { pdu: exceptionPdu(functionCode, 0x03), served: [] };
    const first = (pdu[1] ?? 0) * 256 + (pdu[2] ?? 0);
    const count = (pdu[3] ?? 0) * 256 + (pdu[4] ?? 0);
    if (count < 1 || count > COUNT_MAX[table]) return { pdu: exceptionPdu(functionCode, 0x03), served: [] };
    const last = first + count - 1;
    const points = this.#points.get(table) ?? [];
    const refused = illegal.some(
      (range) => range.table === table && first <= range.last && last >= range.first,
    );
    if (refused || !points.some((point) => point.last >= last)) {
      return { pdu: exceptionPdu(functionCode, 0x02), served: [] };
    }
    const touched = points.filter((point) => point.last >= first && point.tag.address <= last);
    return this.#read(functionCode, { table, first, last }, { touched, atMs });
  }

  #read(
    functionCode: number,
    range: AddressRange,
    { touched, atMs }: { readonly touched: readonly Point[]; readonly atMs: number },
  ): UnitAnswer {
    const image = new Map<number, number>();
    const raws = touched.map((point): RawValue => {
      const raw = rawValueAt(point.tag, this.#seed, Math.floor(atMs / point.stepMs));
      write(image, point.tag, raw);
      return raw;
    });
    const served = touched.flatMap((point, index) => {
      if (point.tag.address < range.first || point.last > range.last) return [];
      const raw = point.overlaps ? readBack(image, point) : raws[index];
      return raw === undefined ? [] : [{ tag: point.tag, value: engineeringValue(point.tag, raw) }];
    });
    const values: number[] = [];
    for (let address = range.first; address <= range.last; address++) values.push(image.get(address) ?? 0);
    const isBits = range.table === 'coil' || range.table === 'discrete-input';
    const data = isBits ? packBits(values) : values.flatMap((value) => [value >> 8, value & 0xff]);
    return { pdu: Uint8Array.from([functionCode, data.length, ...data]), served };
  }
}

/** An exception answer. */
export function exceptionPdu(functionCode: number, code: number): Uint8Array {
  return Uint8Array.of(functionCode | 0x80, code);
}

/** Whole numbers first, then single bits, so that bits of one register do not wipe each other out. */
function inWritingOrder(a: ModbusTag, b: ModbusTag): number {
  const rank = (tag: ModbusTag): number => (tag.rawType === 'bit' ? 1 : 0);
  return rank(a) - rank(b) || a.address - b.address;
}

function clash(a: ModbusTag, b: ModbusTag): boolean {
  if (a === b || a.address > b.address + sizeOf(b) - 1 || b.address > a.address + sizeOf(a) - 1) return false;
  return a.rawType !== 'bit' || b.rawType !== 'bit' || a.bitIndex === b.bitIndex;
}

function write(image: Map<number, number>, tag: ModbusTag, raw: RawValue): void {
  if (typeof raw !== 'boolean') {
    for (const [index, register] of encodeNumber(tag, raw).entries())
      image.set(tag.address + index, register);
  } else if (tag.table === 'coil' || tag.table === 'discrete-input') {
    image.set(tag.address, raw ? 1 : 0);
  } else {
    image.set(tag.address, withBit(tag, image.get(tag.address) ?? 0, raw));
  }
}

function readBack(image: Map<number, number>, { tag, last }: Point): RawValue {
  const registers: number[] = [];
  for (let address = tag.address; address <= last; address++) registers.push(image.get(address) ?? 0);
  if (tag.table === 'coil' || tag.table === 'discrete-input') return registers[0] === 1;
  return decodeRegisters(tag, registers);
}

function packBits(values: readonly number[]): number[] {
  const bytes = new Array<number>(Math.ceil(values.length / 8)).fill(0);
  for (const [index, value] of values.entries()) {
    if (value !== 0) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return bytes;
}
