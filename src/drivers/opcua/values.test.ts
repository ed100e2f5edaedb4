import * as opcua from 'node-opcua-client';
import { expect, test } from 'vitest';
import { Quality } from '../../domain/quality.ts';
import { BuiltIn, convertVariant } from './values.ts';

function scalar(dataType: number, value: unknown) {
  return { dataType, arrayType: 0, value };
}

test('a structure is JSON text by the names of its fields, nested ones too', () => {
  const structure = new opcua.MonitoredItemCreateRequest({
    itemToMonitor: { nodeId: 'ns=2;s=Flow', attributeId: 13 },
    monitoringMode: opcua.MonitoringMode.Reporting,
    requestedParameters: { clientHandle: 7, samplingInterval: 0.5, queueSize: 3 },
  });
  const converted = convertVariant(scalar(BuiltIn.extensionObject, structure), 'text');
  const json: unknown = JSON.parse('value' in converted ? String(converted.value) : '');
  expect(json).toMatchObject({
    itemToMonitor: { nodeId: 'ns=2;s=Flow', attributeId: 13 },
    requestedParameters: { clientHandle: 7, samplingInterval: 0.5, queueSize: 3 },
  });
});

test('64-bit fields of a structure are decimal strings', () => {
  const structure = {
    schema: {
      fields: [
        { name: 'total', fieldType: 'Int64' },
        { name: 'parts', fieldType: 'UInt64', isArray: true },
      ],
    },
    total: [0xffffffff, 0xfffffffe],
    parts: [[0xffffffff, 0xffffffff]],
  };
  expect(convertVariant(scalar(BuiltIn.extensionObject, structure), 'text')).toEqual({
    value: '{"total":"-2","parts":["18446744073709551615"]}',
  });
});

test('non-finite numbers stay numbers, and are names within JSON', () => {
  expect(convertVariant(scalar(BuiltIn.double, Number.NaN), 'float64')).toEqual({ value: Number.NaN });
  const list = { dataType: BuiltIn.double, arrayType: 1, value: new Float64Array([1, Number.NaN]) };
  expect(convertVariant(list, 'text')).toEqual({ value: '[1,"NaN"]' });
});

test.each([
  ['float64', BuiltIn.string, '1.5'],
  ['float64', BuiltIn.null, null],
  ['int64', BuiltIn.double, 1.5],
  ['int64', BuiltIn.double, 2 ** 60],
  ['bool', BuiltIn.int32, 2],
  ['bool', BuiltIn.double, 1],
] as const)('%s from built-in type %i value %s is a mismatch', (type, dataType, value) => {
  expect(convertVariant(scalar(dataType, value), type)).toEqual({ quality: Quality.badTypeMismatch });
});
