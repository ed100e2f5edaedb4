import { z } from 'zod';
import { address, duration, plainName, pointName, secret, strict } from './schema-parts.ts';
import { opcuaFailoverShape, serialFailoverShape, tcpFailoverShape } from './schema-redundancy.ts';
import { modbusDefaultsShape, opcuaDefaultsShape, tagSchema, tagsSchema } from './schema-tag.ts';

const modbusLimitsShape = {
  maxRegistersPerRequest: z
    .int()
    .min(1)
    .max(125)
    .optional()
    .describe('Registers that one request may read. Without any: 125.'),
  maxBitsPerRequest: z
    .int()
    .min(1)
    .max(2000)
    .optional()
    .describe('Coils or discrete inputs that one request may read. Without any: 2000.'),
  maxGap: z
    .int()
    .min(0)
    .max(124)
    .optional()
    .describe(
      'Unused registers (or bits) that may be read along to save a request. Without any: 0, ' +
        'as many devices refuse to read what they do not have.',
    ),
};

const commonStationShape = {
  mode: z
    .enum(['on', 'off'])
    .optional()
    .describe('off: not polled, and the time is declared as a gap. Without it: on.'),
  template: z.string().optional().describe('Template whose tags the station gets.'),
  parameters: z
    .record(z.string(), z.union([z.number(), z.string()]))
    .optional()
    .describe('Values of the parameters of the template.'),
  tags: tagsSchema.optional().describe('Tags of this station, beside those of its template.'),
  overrides: z
    .record(z.string(), tagSchema)
    .optional()
    .describe('Keys of single tags of the template that differ for this station.'),
};

export const modbusStationShape = {
  unit: z.int().min(0).max(255).optional().describe('Modbus unit address. Without it: 1.'),
  ...modbusLimitsShape,
  ...commonStationShape,
  ...modbusDefaultsShape,
};
export const modbusStationSchema = strict(modbusStationShape).meta({ id: 'modbusStation' });
export const opcuaStationShape = { ...commonStationShape, ...opcuaDefaultsShape };
export const opcuaStationSchema = strict(opcuaStationShape).meta({ id: 'opcuaStation' });
export type ModbusStationInput = z.infer<typeof modbusStationSchema>;
export type OpcuaStationInput = z.infer<typeof opcuaStationSchema>;

const stationName = pointName.describe('Name of the station, unique within the process.');
const csvFile = z
  .string()
  .min(1)
  .describe(
    'CSV file with a header line: the column name, keys of a station, and parameters of its template; ' +
      'the other keys here hold for all its stations.',
  );

const modbusStations = z
  .union([
    z.record(pointName, modbusStationSchema),
    z.array(strict({ name: stationName, ...modbusStationShape })),
    strict({ csv: csvFile, ...modbusStationShape }),
  ])
  .meta({ id: 'modbusStations' });
const opcuaStations = z
  .union([
    z.record(pointName, opcuaStationSchema),
    z.array(strict({ name: stationName, ...opcuaStationShape })),
    strict({ csv: csvFile, ...opcuaStationShape }),
  ])
  .meta({ id: 'opcuaStations' });

const reconnectShape = {
  reconnectDelayMin: duration('First pause before the line is opened again.').default('500ms'),
  reconnectDelayMax: duration('Longest pause; pauses grow up to here, with jitter.').default('30s'),
};

const modbusShape = {
  ...reconnectShape,
  responseTimeout: duration('Time for one answer.').default('1s'),
  retries: z.int().min(0).max(10).default(1).describe('Further tries of a request that got no answer.'),
  requestGap: duration('Pause between requests on the line.', { min: 0 }).default('0ms'),
  degradeAfterCycles: z
    .int()
    .min(1)
    .max(1000)
    .default(3)
    .describe('After this many cycles without any answer a unit is only probed.'),
  probeInterval: duration('How often such a unit is probed.', { min: 100 }).default('10s'),
  stations: modbusStations.describe('Stations by name, as an array, or from a CSV file.'),
  ...modbusLimitsShape,
  ...modbusDefaultsShape,
};

const modbusTcpLine = strict({
  driver: z.literal('modbus-tcp').describe('Modbus TCP.'),
  address: address('Device or gateway; port 502 if left out.', 502),
  ...tcpFailoverShape,
  ...modbusShape,
}).meta({ id: 'modbusTcpLine' });

const rtuOverTcpLine = strict({
  driver: z.literal('modbus-rtu-over-tcp').describe('Modbus RTU frames over a TCP connection.'),
  address: address('Serial device server; port 502 if left out.', 502),
  ...serialFailoverShape,
  ...modbusShape,
}).meta({ id: 'modbusRtuOverTcpLine' });

const rtuLine = strict({
  driver: z.literal('modbus-rtu').describe('Modbus RTU on a serial port.'),
  device: z.string().min(1).describe('Serial port, such as "/dev/ttyS1".'),
  baudRate: z.int().min(300).max(4_000_000).default(19_200).describe('Bits per second.'),
  parity: z.enum(['none', 'even', 'odd']).default('even').describe('Parity; even is the standard.'),
  dataBits: z
    .union([z.literal(7), z.literal(8)])
    .default(8)
    .describe('Data bits; RTU takes 8.'),
  stopBits: z
    .union([z.literal(1), z.literal(2)])
    .optional()
    .describe('Stop bits. Without it: 1 with parity, 2 without (the standard).'),
  ...serialFailoverShape,
  ...modbusShape,
}).meta({ id: 'modbusRtuLine' });

const opcuaLine = strict({
  driver: z.literal('opcua').describe('OPC UA subscriptions.'),
  endpoint: z
    .string()
    .regex(/^opc\.tcp:\/\/[^\s/]+(\/\S*)?$/, { error: 'an endpoint such as "opc.tcp://10.0.0.7:4840/path"' })
    .describe('Endpoint of the server.'),
  securityPolicy: z.enum(['None', 'Basic256Sha256']).default('None').describe('Security policy.'),
  securityMode: z
    .enum(['None', 'Sign', 'SignAndEncrypt'])
    .optional()
    .describe('Security mode. Without it: SignAndEncrypt, with policy None: None.'),
  user: strict({
    name: z.string().min(1).describe('User name.'),
    password: secret('Password: {"env": "NAME"} or {"file": "path"}.'),
  })
    .optional()
    .describe('User name and password; anonymous without it.'),
  pki: z
    .string()
    .optional()
    .describe('Directory of certificates and key. Without it: pki in the data directory of the server.'),
  trustOnFirstUse: z
    .boolean()
    .default(false)
    .describe('Accept and remember the server certificate that is seen first.'),
  publishingInterval: duration('Publishing interval of the subscriptions.', { min: 10 }).default('500ms'),
  keepAliveCount: z
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe('Publishing intervals without a change after which the server says that it lives.'),
  lifetimeCount: z
    .int()
    .min(3)
    .max(100_000)
    .default(100)
    .describe('Publishing intervals without a request after which the server drops a subscription.'),
  sessionTimeout: duration('Time after which the server drops a silent session.', { min: 1000 }).default(
    '60s',
  ),
  connectTimeout: duration('Time for opening the connection.', { min: 100 }).default('10s'),
  ...opcuaFailoverShape,
  ...reconnectShape,
  stations: opcuaStations.describe(
    'Stations by name, as an array, or from a CSV file; each is a subscription.',
  ),
  ...opcuaDefaultsShape,
}).meta({ id: 'opcuaLine' });

const lineSchema = z.discriminatedUnion('driver', [modbusTcpLine, rtuOverTcpLine, rtuLine, opcuaLine], {
  error: '"modbus-tcp", "modbus-rtu-over-tcp", "modbus-rtu" or "opcua"',
});
export type LineInput = z.infer<typeof lineSchema>;
export type ModbusLineInput = Exclude<LineInput, { driver: 'opcua' }>;
export type OpcuaLineInput = Extract<LineInput, { driver: 'opcua' }>;
export const linesSchema = z.record(plainName, lineSchema);
