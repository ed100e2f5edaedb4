import type { ModbusStation, ModbusTable, ModbusTag } from '../../config/model.ts';
import { invariant } from '../../domain/errors.ts';

/** Limits of the protocol on one read (Modbus Application Protocol V1.1b3, 6.1 to 6.4). */
const REGISTERS_MAX = 125;
const BITS_MAX = 2000;

/** One read request and the tags that its answer holds. */
export interface PlannedRequest {
  readonly table: ModbusTable;
  /** Address of the first register or bit in the protocol data unit. */
  readonly address: number;
  /** Registers, or bits in the bit tables. */
  readonly count: number;
  readonly scanMs: number;
  /** Ascending by address; each lies wholly inside the request. */
  readonly tags: readonly ModbusTag[];
}

/** Coils and discrete inputs are read as single bits. */
export function isBitTable(table: ModbusTable): boolean {
  return table === 'coil' || table === 'discrete-input';
}

/** How many addresses of its table a tag occupies: bits in a bit table, else registers. */
export function widthOf(tag: ModbusTag): number {
  if (isBitTable(tag.table)) return 1;
  switch (tag.rawType) {
    case 'bit':
    case 'int16':
    case 'uint16':
      return 1;
    case 'int32':
    case 'uint32':
    case 'float32':
      return 2;
    case 'int64':
    case 'uint64':
    case 'float64':
      return 4;
  }
}

/**
 * The read requests of a station: tags of one table and one scan period, by ascending address, merged
 * while the hole between them is at most `maxGap` wide and the request stays within the station's and the
 * protocol's limits. A value never spans two requests; where the station's limit is narrower than a single
 * value, that value gets a request of its own width.
 */
export function planRequests(station: ModbusStation): PlannedRequest[] {
  const groups = new Map<string, ModbusTag[]>();
  for (const tag of station.tags) {
    const key = `${tag.table}/${tag.scanMs}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [tag]);
    else group.push(tag);
  }
  return [...groups.values()].flatMap((tags) => mergeGroup(tags, station));
}

/**
 * Two requests for the tags of one that the device refused: cut at its widest hole (what nobody asked for
 * is the likeliest cause), else in the middle. `null` if it cannot be cut further.
 */
export function splitRequest(request: PlannedRequest): readonly [PlannedRequest, PlannedRequest] | null {
  const { tags } = request;
  let cut = 0;
  let cutRank = Number.NEGATIVE_INFINITY;
  let end = 0;
  for (const [index, tag] of tags.entries()) {
    if (index > 0 && tag.address >= end) {
      const hole = tag.address - end;
      const rank = hole > 0 ? hole : -Math.abs(index - tags.length / 2) - 1;
      if (rank > cutRank) {
        cut = index;
        cutRank = rank;
      }
    }
    end = Math.max(end, tag.address + widthOf(tag));
  }
  if (cut === 0) return null;
  return [requestOf(tags.slice(0, cut)), requestOf(tags.slice(cut))];
}

function mergeGroup(tags: readonly ModbusTag[], station: ModbusStation): PlannedRequest[] {
  const sorted = [...tags].sort((a, b) => a.address - b.address || widthOf(a) - widthOf(b));
  const requests: PlannedRequest[] = [];
  let block: ModbusTag[] = [];
  let start = 0;
  let end = 0;
  for (const tag of sorted) {
    const limit = isBitTable(tag.table)
      ? Math.min(station.maxBitsPerRequest, BITS_MAX)
      : Math.min(station.maxRegistersPerRequest, REGISTERS_MAX);
    const tagEnd = tag.address + widthOf(tag);
    const joined = Math.max(end, tagEnd);
    if (block.length > 0 && tag.address - end <= station.maxGap && joined - start <= limit) {
      block.push(tag);
      end = joined;
    } else {
      if (block.length > 0) requests.push(requestOf(block));
      block = [tag];
      start = tag.address;
      end = tagEnd;
    }
  }
  if (block.length > 0) requests.push(requestOf(block));
  return requests;
}

function requestOf(tags: readonly ModbusTag[]): PlannedRequest {
  const [first] = tags;
  invariant(first !== undefined, 'a request reads at least one tag');
  const end = Math.max(...tags.map((tag) => tag.address + widthOf(tag)));
  return {
    table: first.table,
    address: first.address,
    count: end - first.address,
    scanMs: first.scanMs,
    tags,
  };
}
