import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModbusStation, ModbusTag } from '../../config/model.ts';
import { isBitTable, planRequests, splitRequest, widthOf } from './plan.ts';
import { modbusStation, modbusTag } from './testing.ts';

const rawTypes = [
  'bit',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float32',
  'float64',
] as const;
const tables = ['coil', 'discrete-input', 'holding-register', 'input-register'] as const;

/** Few groups and close addresses, so that merging meets its limits; some far ones for the holes. */
const anyTag: fc.Arbitrary<Partial<ModbusTag>> = fc.record({
  table: fc.constantFrom(...tables),
  rawType: fc.constantFrom(...rawTypes),
  address: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_532 }) },
  ),
  scanMs: fc.constantFrom(100, 1000),
});

const anyStation: fc.Arbitrary<ModbusStation> = fc
  .record({
    tags: fc.array(anyTag, { maxLength: 250, size: 'max' }),
    maxRegistersPerRequest: fc.integer({ min: 4, max: 200 }),
    maxBitsPerRequest: fc.integer({ min: 1, max: 200 }),
    maxGap: fc.integer({ min: 0, max: 50 }),
  })
  .map(({ tags, ...limits }) =>
    modbusStation({ ...limits, tags: tags.map((tag, index) => modbusTag({ ...tag, index })) }),
  );

describe('plan of requests', () => {
  it('puts every tag into exactly one request, wholly inside, within all limits', () => {
    fc.assert(
      fc.property(anyStation, (station) => {
        const requests = planRequests(station);
        const planned = requests.flatMap((request) => request.tags);
        expect(planned.map((tag) => tag.index).sort((a, b) => a - b)).toEqual(
          station.tags.map((t) => t.index),
        );
        for (const request of requests) {
          const limit = isBitTable(request.table)
            ? Math.min(2000, station.maxBitsPerRequest)
            : Math.min(125, station.maxRegistersPerRequest);
          expect(request.count).toBeLessThanOrEqual(limit);
          let end = request.address;
          for (const tag of request.tags) {
            expect(tag.table).toBe(request.table);
            expect(tag.scanMs).toBe(request.scanMs);
            expect(tag.address - end).toBeLessThanOrEqual(station.maxGap);
            end = Math.max(end, tag.address + widthOf(tag));
            expect(tag.address + widthOf(tag)).toBeLessThanOrEqual(request.address + request.count);
          }
          expect(end).toBe(request.address + request.count);
          expect(request.tags[0]?.address).toBe(request.address);
        }
      }),
    );
  });

  it.each([
    ['holding-register', 'uint16', { maxRegistersPerRequest: 10 }, [10, 10, 5]],
    ['holding-register', 'float64', { maxRegistersPerRequest: 10 }, [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4]],
    ['coil', 'bit', { maxBitsPerRequest: 16 }, [16, 9]],
  ] as const)('keeps a full %s block of %s within %o', (table, rawType, limits, counts) => {
    const width = rawType === 'float64' ? 4 : 1;
    const tags = Array.from({ length: 25 }, (_, n) => modbusTag({ table, rawType, address: n * width }));
    expect(planRequests(modbusStation({ ...limits, tags })).map((each) => each.count)).toEqual(counts);
  });

  it.each([
    ['holding-register', 300, [125, 125, 50]],
    ['coil', 4100, [2000, 2000, 100]],
  ] as const)('never exceeds the limit of the protocol in a %s block', (table, length, counts) => {
    const rawType = table === 'coil' ? 'bit' : 'uint16';
    const tags = Array.from({ length }, (_, address) => modbusTag({ table, rawType, address }));
    const limits = { maxRegistersPerRequest: 9999, maxBitsPerRequest: 9999 };
    expect(planRequests(modbusStation({ ...limits, tags })).map((each) => each.count)).toEqual(counts);
  });

  it('merges over a hole of maxGap and not over a wider one', () => {
    const tags = [modbusTag({ address: 0 }), modbusTag({ address: 5 }), modbusTag({ address: 11 })];
    const requests = planRequests(modbusStation({ maxGap: 4, tags }));
    expect(requests.map(({ address, count }) => [address, count])).toEqual([
      [0, 6],
      [11, 1],
    ]);
  });

  it('splits down to single tags, keeping each one, at the widest hole first', () => {
    const tags = [0, 1, 2, 9, 10, 12].map((address, index) => modbusTag({ address, index }));
    const [request] = planRequests(modbusStation({ maxGap: 20, tags }));
    if (request === undefined) throw new Error('no request');
    const halves = splitRequest(request);
    expect(halves?.map(({ address, count }) => [address, count])).toEqual([
      [0, 3],
      [9, 4],
    ]);
    const parts = [request];
    for (let index = 0; index < parts.length; ) {
      const part = parts[index];
      const cut = part === undefined ? null : splitRequest(part);
      if (cut === null) index++;
      else parts.splice(index, 1, ...cut);
    }
    expect(parts.map((part) => part.tags.map((tag) => tag.index))).toEqual([[0], [1], [2], [3], [4], [5]]);
  });

  it('cuts a request without holes in its middle, and never through a value', () => {
    const tags = [0, 4, 8, 12].map((address) => modbusTag({ address, rawType: 'float64' }));
    const [request] = planRequests(modbusStation({ tags }));
    if (request === undefined) throw new Error('no request');
    expect(splitRequest(request)?.map((half) => half.tags.length)).toEqual([2, 2]);
    const overlapping = planRequests(
      modbusStation({ tags: [modbusTag({ address: 0, rawType: 'int32' }), modbusTag({ address: 1 })] }),
    );
    expect(overlapping.map(splitRequest)).toEqual([null]);
  });
});
