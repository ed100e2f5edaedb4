import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModbusTag } from '../../config/model.ts';
import { encodeNumber } from '../../sim/modbus/registers.ts';
import { planRequests } from './plan.ts';
import { modbusStation, modbusTag } from './testing.ts';
import { decodeValue } from './values.ts';

function decode(fields: Partial<ModbusTag>, bytes: readonly number[]) {
  const tag = modbusTag(fields);
  const [request] = planRequests(modbusStation({ tags: [tag] }));
  if (request === undefined) throw new Error('no request');
  return decodeValue(tag, request, Uint8Array.from(bytes));
}

describe('values', () => {
  it.each<[Partial<ModbusTag>, number[], unknown]>([
    [{ rawType: 'int16' }, [0x80, 0x00], -32768n],
    [{ rawType: 'uint16' }, [0xff, 0xfe], 65534n],
    [{ rawType: 'uint16', byteOrder: 'little' }, [0x01, 0x00], 1n],
    [{ rawType: 'int32' }, [0x12, 0x34, 0x56, 0x78], 0x12345678n],
    [{ rawType: 'int32', wordOrder: 'little' }, [0x56, 0x78, 0x12, 0x34], 0x12345678n],
    [{ rawType: 'int32', byteOrder: 'little' }, [0x34, 0x12, 0x78, 0x56], 0x12345678n],
    [{ rawType: 'int32', wordOrder: 'little', byteOrder: 'little' }, [0x78, 0x56, 0x34, 0x12], 0x12345678n],
    [{ rawType: 'uint32' }, [0xff, 0xff, 0xff, 0xff], 4294967295n],
    [{ rawType: 'int64' }, [0x80, 0, 0, 0, 0, 0, 0, 1], -9223372036854775807n],
    [{ rawType: 'uint64' }, [0x7f, 255, 255, 255, 255, 255, 255, 255], 9223372036854775807n],
    [{ rawType: 'uint64' }, [0x80, 0, 0, 0, 0, 0, 0, 1], '9223372036854775809'],
    [{ rawType: 'float32' }, [0x3d, 0xcc, 0xcc, 0xcd], 0.10000000149011612],
    [{ rawType: 'float64', wordOrder: 'little' }, [0, 0, 0, 0, 0, 0, 0x3f, 0xf8], 1.5],
    [{ rawType: 'int16', scale: 0.1 }, [0xff, 0xff], -1 * 0.1 + 0],
    [{ rawType: 'uint16', scale: 0.1, offset: -40 }, [0x01, 0x00], 256 * 0.1 - 40],
    [{ rawType: 'uint16', offset: 5 }, [0, 1], 6],
    [{ rawType: 'bit', bitIndex: 15 }, [0x80, 0x00], true],
    [{ rawType: 'bit', bitIndex: 0, byteOrder: 'little' }, [0x01, 0x00], true],
    [{ rawType: 'bit', bitIndex: 8 }, [0x00, 0xff], false],
    [{ rawType: 'bit', table: 'coil' }, [0x01], true],
  ])('%o of %j is %s', (fields, bytes, expected) => {
    expect(decode(fields, bytes)).toBe(expected);
  });

  it('takes a bit of a bit table from its place', () => {
    const tags = [3, 9, 10].map((address, index) =>
      modbusTag({ index, address, rawType: 'bit', table: 'discrete-input' }),
    );
    const [request] = planRequests(modbusStation({ tags }));
    if (request === undefined) throw new Error('no request');
    const data = Uint8Array.of(0b0100_0000);
    expect(request.tags.map((tag) => decodeValue(tag, request, data))).toEqual([false, true, false]);
  });

  it("undoes the simulator's encoding exactly, for every type and order", () => {
    const ranges = {
      int16: fc.bigInt(-(2n ** 15n), 2n ** 15n - 1n),
      uint16: fc.bigInt(0n, 2n ** 16n - 1n),
      int32: fc.bigInt(-(2n ** 31n), 2n ** 31n - 1n),
      uint32: fc.bigInt(0n, 2n ** 32n - 1n),
      int64: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      uint64: fc.bigInt(0n, 2n ** 64n - 1n),
      float32: fc.float({ noNaN: true }),
      float64: fc.double({ noNaN: true }),
    };
    const orders = fc.record({
      wordOrder: fc.constantFrom('big', 'little'),
      byteOrder: fc.constantFrom('big', 'little'),
    });
    for (const rawType of [
      'int16',
      'uint16',
      'int32',
      'uint32',
      'int64',
      'uint64',
      'float32',
      'float64',
    ] as const) {
      fc.assert(
        fc.property(ranges[rawType] as fc.Arbitrary<bigint | number>, orders, (raw, order) => {
          const fields = { rawType, ...order };
          const bytes = encodeNumber(modbusTag(fields), raw).flatMap((word) => [word >> 8, word & 255]);
          const expected = typeof raw === 'bigint' && raw >= 2n ** 63n ? raw.toString() : raw;
          expect(decode(fields, bytes)).toBe(expected);
        }),
      );
    }
  });
});
