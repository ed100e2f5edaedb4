import type { Dictionary } from '../domain/dictionary.ts';
import type { Process, Site } from './model.ts';

/** The tags of a process in the order of their indexes. */
export function dictionaryOf(site: Site, process: Process): Dictionary {
  const tags = process.lines.flatMap((line) =>
    line.stations.flatMap((station) =>
      station.tags.map((tag) => ({
        name: tag.name,
        station: station.name,
        class: tag.class,
        type: tag.type,
        unit: tag.engineeringUnit,
        formerly: tag.formerly,
      })),
    ),
  );
  return { site: site.name, process: process.name, tags };
}
