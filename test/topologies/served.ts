import { readFileSync } from 'node:fs';
import type { Line, Site, TagBase } from '../../src/config/model.ts';
import type { SampleValue } from '../../src/domain/sample.ts';
import type { ServedValue } from '../../src/sim/record.ts';

/** What `kom sim --record` wrote of the devices of a site, with values of the types of their tags. */
export function readServed(file: string, site: Site): ServedValue[] {
  const lines = site.processes.flatMap((process): readonly Line[] => process.lines);
  const tags = lines.flatMap(({ stations }) =>
    stations.flatMap((station): readonly TagBase[] => station.tags),
  );
  const types = new Map(tags.map(({ name, type }) => [name, type]));
  const text = readFileSync(file, 'utf8');
  // The simulator may be writing the last line just now.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return whole.flatMap((line): ServedValue[] => {
    if (line === '') return [];
    const served = JSON.parse(line) as ServedValue;
    return [{ ...served, value: typed(served.value, types.get(served.tag)) }];
  });
}

function typed(value: SampleValue, type: TagBase['type'] | undefined): SampleValue {
  if (value === null) return null;
  if (type === 'int64') return BigInt(value);
  return type === 'float64' ? Number(value) : value;
}
