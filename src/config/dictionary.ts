import type { Dictionary, DictionaryTag } from '../domain/dictionary.ts';
import type { ModbusTag, OpcuaTag, Process, Site } from './model.ts';

/** The tags of a process in the order of their indexes. */
export function dictionaryOf(site: Pick<Site, 'name'>, process: Pick<Process, 'name' | 'lines'>): Dictionary {
  const tags = process.lines.flatMap((line) =>
    line.stations.flatMap((station) => station.tags.map((tag) => tagOf(station.name, tag))),
  );
  return { site: site.name, process: process.name, tags };
}

function tagOf(station: string, tag: ModbusTag | OpcuaTag): DictionaryTag {
  const { name, class: tagClass, type, engineeringUnit: unit, formerly } = tag;
  const scan = 'scanMs' in tag ? { scanMs: tag.scanMs } : {};
  return { name, station, class: tagClass, type, unit, formerly, ...scan };
}
