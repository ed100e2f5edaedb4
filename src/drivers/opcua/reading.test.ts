import { expect, test } from 'vitest';
import type { OpcuaTag } from '../../config/model.ts';
import { Quality } from '../../domain/quality.ts';
import type { UnseenInterval } from '../driver.ts';
import { type DataValueLike, hasOverflowed, ReadingMaker, storedQuality, timeOf } from './reading.ts';
import { BuiltIn } from './values.ts';

const OVERFLOW = 0x0480;
const TAG: OpcuaTag = {
  index: 7,
  name: 'T',
  class: 'measurement',
  type: 'float64',
  engineeringUnit: '',
  description: '',
  formerly: [],
  deadband: 0,
  reportAtLeastEveryMs: 600_000,
  origin: 'test',
  nodeId: 'ns=1;s=T',
  samplingIntervalMs: 100,
  queueSize: 5,
};

function value(status: number, timeMs: number): DataValueLike {
  return {
    value: { dataType: BuiltIn.double, arrayType: 0, value: 1 },
    statusCode: { value: status },
    sourceTimestamp: new Date(timeMs),
  };
}

test.each([
  [0x0000_0480, true, 0x0000_0000],
  [0x0000_0000, false, 0x0000_0000],
  [0x4090_0480, true, 0x4090_0000],
  [0x0000_0580, true, 0x0000_0500], // the limit bits stay
  [0x0000_0080, false, 0x0000_0080], // not of the information type "data value"
  [0x8000_0480, true, 0x8000_0000],
])('status %i: overflow %s, stored as %i', (status, overflowed, stored) => {
  expect(hasOverflowed(status)).toBe(overflowed);
  expect(storedQuality(status)).toBe(stored);
});

test('the time is the source time to the µs, else the server time, else none of the device', () => {
  const at = new Date(1_700_000_000_123);
  const base = { value: value(0, 0).value, statusCode: { value: 0 } };
  const exact = { ...base, sourceTimestamp: at, sourcePicoseconds: 456_789_000 };
  expect(timeOf(exact)).toBe(1_700_000_000_123_456);
  expect(timeOf({ ...base, sourceTimestamp: null, serverTimestamp: at })).toBe(1_700_000_000_123_000);
  const none = { ...base, sourceTimestamp: new Date(Date.UTC(1601, 0, 1)) };
  expect(timeOf(none)).toBeUndefined();
  const made = new ReadingMaker().make(TAG, none, { nowUs: 42, unseen: [] });
  expect(made.sourceTimeUs).toBe(42);
  expect(made).not.toHaveProperty('isDeviceTime');
});

test('an overflow is unseen from the value before to this one, and the value itself is good', () => {
  const maker = new ReadingMaker();
  const unseen: UnseenInterval[] = [];
  maker.make(TAG, value(0, 1000), { nowUs: 0, unseen });
  expect(unseen).toEqual([]);
  const reading = maker.make(TAG, value(OVERFLOW, 5000), { nowUs: 0, unseen });
  expect(reading).toEqual({
    ...{ tagIndex: 7, sourceTimeUs: 5_000_000, isDeviceTime: true },
    ...{ value: 1, quality: Quality.good },
  });
  expect(unseen).toEqual([{ tagIndexes: [7], fromUs: 1_000_000, toUs: 5_000_000, reason: 'overload' }]);
});

test('a bad value has no value', () => {
  const into = { nowUs: 0, unseen: [] };
  expect(new ReadingMaker().make(TAG, value(Quality.badSensorFailure, 1000), into)).toMatchObject({
    value: null,
    quality: Quality.badSensorFailure,
  });
});
