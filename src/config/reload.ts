import { splitPath } from './files.ts';
import { isObject, type JsonObject } from './json.ts';
import { type LoadedSite, type LoadOptions, loadSite } from './load.ts';
import type { KernelPlaces, Process, Site } from './model.ts';
import { ConfigProblems, formatPath, type JsonPath, type Problem } from './problems.ts';
import type { ProcessInput, SiteInput } from './schema.ts';

/** A site as an agent runs with it. */
export type RunningSite = Pick<LoadedSite, 'site' | 'input'>;

/**
 * Loads a site file anew for an agent that runs with `running`. Where the Kernels are may be something else
 * now: `kernels`, and where they dial from, `uplink.listen.allowFrom`.
 * @throws ConfigProblems with everything that is wrong, or else everything else that changed;
 * KomError KOM_CONFIG_UNREADABLE
 */
export async function reloadSite(
  path: string,
  running: RunningSite,
  options: LoadOptions = {},
): Promise<{ readonly places: KernelPlaces; readonly problems: readonly Problem[] }> {
  const next = await loadSite(path, options);
  const changes = changesForRestart(running, next);
  if (changes.length > 0) throw new ConfigProblems(splitPath(path).file, changes);
  return { places: placesOf(next.site), problems: next.problems };
}

function placesOf({ hash: siteHash, kernels, processes }: Site): KernelPlaces {
  const waiting = processes.flatMap(({ name: process, uplink: { listen } }) =>
    listen === undefined ? [] : [{ process, allowFrom: listen.allowFrom }],
  );
  return { siteHash, kernels, waiting };
}

/** What changed from one site to another that a running agent does not take over. */
export function changesForRestart(before: RunningSite, after: RunningSite): Problem[] {
  const inFile = [...differences(fixedInput(before.input), fixedInput(after.input), [])];
  // Where the file is the same, another one that it names may not be: a list, a password.
  const elsewhere =
    inFile.length > 0 ? [] : [...differences(fixedSite(before.site), fixedSite(after.site), [])];
  const hint = 'a reload takes only where the Kernels are: restart the agent for it';
  return [
    ...inFile.map((path) => ({ path: formatPath(path), message: 'changed', hint })),
    ...elsewhere.map((path) => ({ path: formatPath(path), message: 'changed outside this file', hint })),
  ];
}

/** The file without what may change. Which files were included is nothing; what they say is part of it. */
function fixedInput({ $schema: _, include: __, kernels: ___, processes, ...rest }: SiteInput): JsonObject {
  const withoutPlaces = ({ uplink, ...process }: ProcessInput): JsonObject => {
    const { listen } = uplink;
    return { ...process, uplink: listen === undefined ? uplink : { ...uplink, listen: fixedListen(listen) } };
  };
  const entries = Object.entries(processes).map(([name, process]) => [name, withoutPlaces(process)] as const);
  return { ...rest, processes: Object.fromEntries(entries) };
}

/** Likewise, with lists by the names of what is in them, as the file has them. */
function fixedSite({ kernels: _, hash: __, processes, servers, ...rest }: Site): JsonObject {
  const withoutPlaces = ({ uplink, lines, ...process }: Process): JsonObject => ({
    ...process,
    uplink: uplink.listen === undefined ? uplink : { ...uplink, listen: fixedListen(uplink.listen) },
    lines: byName(lines.map((line) => ({ ...line, stations: byName(line.stations.map(tagsByName)) }))),
  });
  return { ...rest, servers: byName(servers), processes: byName(processes.map(withoutPlaces)) };
}

function fixedListen<Listen extends { readonly allowFrom: unknown }>({ allowFrom: _, ...listen }: Listen) {
  return listen;
}

function tagsByName<Tag extends object, Station extends { readonly tags: readonly Tag[] }>(
  station: Station,
): JsonObject {
  return { ...station, tags: byName(station.tags) };
}

function byName(items: readonly object[]): JsonObject {
  return Object.fromEntries(items.map((item, at) => ['name' in item ? String(item.name) : String(at), item]));
}

/** Places that differ; where keys are the same in another order, the place that has them. */
function* differences(before: unknown, after: unknown, path: JsonPath): Generator<JsonPath> {
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const at of before.keys()) yield* differences(before[at], after[at], [...path, at]);
  } else if (isObject(before) && isObject(after)) {
    let isSame = true;
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      for (const each of differences(before[key], after[key], [...path, key])) {
        isSame = false;
        yield each;
      }
    }
    if (isSame && Object.keys(before).join('\n') !== Object.keys(after).join('\n')) yield path;
  } else if (!Object.is(before, after)) yield path;
}
