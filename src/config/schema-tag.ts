import { z } from 'zod';
import { TAG_CLASSES } from '../domain/stream.ts';
import { duration, pointName, strict } from './schema-parts.ts';

const integerOrExpression = z.union([z.int().min(0).max(65_535), z.string().min(1)], {
  error: 'an integer from 0 to 65535 or an expression such as "{base}+2"',
});

const commonDefaultsShape = {
  scan: duration('How often the tag is polled. Without any: 1s.', { min: 10 }).optional(),
  reportAtLeastEvery: duration('An unchanged value is reported again at this period. Without any: 10min.', {
    min: 1000,
  }).optional(),
  deadband: z
    .number()
    .min(0)
    .optional()
    .describe(
      'Changes of a number not larger than this are not reported; not for alarms and counters. ' +
        'Without any: 0.',
    ),
};

/** Values that a Modbus line or station may set for all its tags. */
export const modbusDefaultsShape = {
  ...commonDefaultsShape,
  wordOrder: z
    .enum(['big', 'little'])
    .optional()
    .describe('Modbus: order of the registers of a value, big = most significant first. Without any: big.'),
  byteOrder: z
    .enum(['big', 'little'])
    .optional()
    .describe('Modbus: order of the two bytes of a register, big is the standard. Without any: big.'),
};

/** Values that an OPC UA line or station may set for all its tags. */
export const opcuaDefaultsShape = {
  ...commonDefaultsShape,
  sampling: duration('OPC UA: how often the server samples the node. Without any: the scan period.', {
    min: 0,
  }).optional(),
  queueSize: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('OPC UA: values that the server keeps between two publishings. Without any: 10.'),
};

/** Values that a site may set for all its tags; what is nearest to the tag wins. */
export const tagDefaultsShape = { ...modbusDefaultsShape, ...opcuaDefaultsShape };

export const MODBUS_RAW_TYPES = [
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

export const OPCUA_TYPES = ['bool', 'int64', 'float64', 'text'] as const;

const tagTypes = [...new Set([...MODBUS_RAW_TYPES, ...OPCUA_TYPES])];

/** Keys of a tag. Which of them fit depends on the driver of its line and is checked when it is expanded. */
export const tagShape = {
  address: integerOrExpression
    .optional()
    .describe('Modbus: address in the protocol data unit, 0 to 65535, or an expression ("{base}+2").'),
  table: z
    .enum(['coil', 'discrete-input', 'holding-register', 'input-register'])
    .optional()
    .describe('Modbus: table. Without it: holding-register.'),
  type: z
    .enum(tagTypes)
    .optional()
    .describe(
      'Type of the value. Modbus: of the raw value (a coil or discrete input is a bit). ' +
        'OPC UA: bool, int64, float64 or text.',
    ),
  bitIndex: z
    .int()
    .min(0)
    .max(15)
    .optional()
    .describe('Modbus: for type bit in a register, 0 is the least significant bit.'),
  scale: z.number().optional().describe('Modbus: value = raw × scale + offset. Without it: 1.'),
  offset: z.number().optional().describe('Modbus: value = raw × scale + offset. Without it: 0.'),
  nodeId: z
    .string()
    .min(3)
    .optional()
    .describe('OPC UA: node id, "ns=2;s={station}.flow" or "nsu=urn:…;s=…"; placeholders are filled in.'),
  class: z
    .enum(TAG_CLASSES)
    .optional()
    .describe('Alarms and counters bypass deadbands. Without it: measurement.'),
  unit: z.string().max(32).optional().describe('Engineering unit, such as "m3/h".'),
  description: z.string().max(500).optional().describe('Text for people; placeholders are filled in.'),
  formerly: z
    .array(z.string().min(1))
    .max(16)
    .optional()
    .describe(
      'Former full names, newest first, whose history belongs to this tag; placeholders are filled in.',
    ),
  ...tagDefaultsShape,
};

export const tagSchema = strict(tagShape).meta({ id: 'tag' });
export type TagInput = z.infer<typeof tagSchema>;

/** Tags as an object by name, as an array with names, or from a CSV file. */
export const tagsSchema = z
  .union([
    z.record(pointName, tagSchema),
    z.array(
      strict({ name: pointName.describe('Name of the tag within its station.'), ...tagShape }).meta({
        id: 'namedTag',
      }),
    ),
    strict({
      csv: z
        .string()
        .min(1)
        .describe(
          'CSV file with a header line: the column name and any keys of a tag; an empty cell is no value.',
        ),
    }),
  ])
  .meta({ id: 'tags' });
export type TagsInput = z.infer<typeof tagsSchema>;

const PARAMETER_TYPES = ['integer', 'number', 'text'] as const;

export const templateSchema = strict({
  description: z.string().optional().describe('Text for people.'),
  parameters: z
    .record(
      z.string().regex(/^[\p{L}_][\p{L}\p{N}_]*$/u, { error: 'a parameter name of letters, digits and _' }),
      z.union(
        [
          z.enum(PARAMETER_TYPES),
          strict({
            type: z.enum(PARAMETER_TYPES).describe('Type of the parameter.'),
            default: z
              .union([z.number(), z.string()])
              .optional()
              .describe('Value where a station gives none.'),
            description: z.string().optional().describe('Text for people.'),
          }),
        ],
        { error: '"integer", "number", "text", or {"type": …, "default": …}' },
      ),
    )
    .default({})
    .describe('Parameters that a station must give, each "integer", "number" or "text".'),
  tags: tagsSchema.describe('Tags of the template.'),
}).meta({ id: 'template' });
export type TemplateInput = z.infer<typeof templateSchema>;
