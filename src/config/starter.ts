import { schemaText } from './json-schema.ts';

/** A file of a new site. */
export interface StarterFile {
  readonly name: string;
  readonly text: string;
}

const SITE = {
  $schema: './site.schema.json',
  $comment: [
    'The site file of KOM Archive. Remarks stand in $comment keys, which every object may have.',
    'Check it with kom check site.json; see each value and its origin with kom check site.json --expand.',
  ],
  site: 'MySite',
  kernels: [
    {
      $comment:
        'Where values go. Another machine needs "tls": {} beside "kernels"; kom pki init makes the files.',
      address: '127.0.0.1:3119',
    },
  ],
  servers: {
    ServerKom1: {
      $comment: 'One entry for each industrial PC. Run this one with: kom run site.json --server ServerKom1',
      instance: 1,
      data: './data/ServerKom1',
    },
  },
  defaults: {
    $comment: 'For all tags; a line, a station or a tag may give its own.',
    scan: '1s',
    reportAtLeastEvery: '10min',
  },
  templates: {
    pump: {
      $comment: 'Tags that all pumps have. {base} is given by each station; addresses may calculate.',
      parameters: { base: 'integer' },
      tags: {
        flow: { address: '{base}', type: 'float32', unit: 'm3/h', description: 'Flow of {station}' },
        pressure: { address: '{base}+2', type: 'int16', scale: 0.01, unit: 'bar', scan: '500ms' },
        running: { table: 'coil', address: '{base}' },
        fault: { table: 'discrete-input', address: '{base}', class: 'alarm', scan: '500ms' },
      },
    },
    meter: {
      $comment: 'The same from a table, which a spreadsheet can edit.',
      tags: { csv: 'meter-tags.csv' },
    },
  },
  processes: {
    KomA: {
      buffer: {
        $comment:
          'What is kept while the Kernel is away. "store": "always" keeps it also through a power cut.',
        store: 'on-outage',
        capacity: '1GB',
        powerCutLossMax: '1s',
      },
      lines: {
        plc: {
          driver: 'modbus-tcp',
          address: '192.0.2.10:502',
          stations: {
            P1: { unit: 1, template: 'pump', parameters: { base: 100 } },
            P2: {
              unit: 2,
              template: 'pump',
              parameters: { base: 100 },
              overrides: { flow: { $comment: 'An older device.', wordOrder: 'little' } },
            },
            Meter1: { unit: 10, template: 'meter' },
          },
        },
        dcs: {
          $comment:
            'Delete what you do not have. A password is {"env": "NAME"} or {"file": "path"}, never a text.',
          driver: 'opcua',
          endpoint: 'opc.tcp://192.0.2.20:4840',
          stations: {
            Reactor1: {
              tags: {
                temperature: {
                  nodeId: 'ns=2;s={station}.Temperature',
                  type: 'float64',
                  sampling: '500ms',
                  unit: '°C',
                },
              },
            },
          },
        },
      },
    },
  },
};

const METER_TAGS = `# One tag a line; the columns are keys of a tag, and an empty cell is no value.
name,table,address,type,scale,unit,class,description
voltage,input-register,0,float32,,V,,Voltage of {station}
current,input-register,2,float32,,A,,
power,input-register,4,int32,0.1,W,,
energy,input-register,6,uint64,,Wh,counter,An integer stays exact
`;

const KERNEL = {
  $comment: 'The Kernel, the receiving end. Run it with: kom kernel kernel.json',
  listen: '127.0.0.1:3119',
  archive: { kind: 'embedded', directory: './data/kernel', memoryLimit: '256MB' },
};

/** A new site with remarks: the site file, its schema, a table of tags, and the file of a Kernel. */
export function starterFiles(): StarterFile[] {
  return [
    { name: 'site.json', text: `${JSON.stringify(SITE, null, 2)}\n` },
    { name: 'meter-tags.csv', text: METER_TAGS },
    { name: 'kernel.json', text: `${JSON.stringify(KERNEL, null, 2)}\n` },
    { name: 'site.schema.json', text: schemaText('site') },
  ];
}
