import { ConfigProblems, type LoadedSite, type ResolveOptions, resolveSite } from './load.ts';
import type { ModbusTag, OpcuaTag } from './model.ts';

export type Json = Record<string, unknown>;

export const PUMP = {
  parameters: { base: 'integer' },
  tags: { flow: { address: '{base}+2', type: 'float32' } },
};

/** A small right site; `change` spoils or extends it. */
export function site(
  change: (raw: Json & { lines: Json; templates: Json; servers: Json }) => void = () => {},
): Json {
  const lines: Json = {
    plc: {
      driver: 'modbus-tcp',
      address: '10.0.0.5',
      stations: { P1: { unit: 1, template: 'pump', parameters: { base: 100 } } },
    },
  };
  const raw = {
    site: 'Test',
    kernels: [{ address: '127.0.0.1' }],
    servers: { A: { instance: 1 } } as Json,
    templates: { pump: structuredClone(PUMP) } as Json,
    processes: { KomA: { lines } },
  };
  const open = Object.assign(raw, { lines });
  change(open);
  const { lines: _, ...rest } = open;
  return rest;
}

export function load(raw: unknown, options: Partial<ResolveOptions> = {}): LoadedSite {
  return resolveSite(raw, { directory: '/etc/kom', ...options });
}

/** Path and text of everything that is wrong with a site. */
export function problemsOf(
  raw: unknown,
  options: Partial<ResolveOptions> = {},
): { path: string; text: string }[] {
  try {
    load(raw, options);
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error;
    return error.problems.map(({ path, message, expected, got, hint, location }) => ({
      path,
      text: [message, expected, got, hint, location].filter((part) => part !== undefined).join('; '),
    }));
  }
  return [];
}

export function modbusTags({ site: made }: LoadedSite): ModbusTag[] {
  return made.processes.flatMap(({ lines }) =>
    lines.flatMap((line) => (line.driver === 'modbus' ? line.stations.flatMap(({ tags }) => tags) : [])),
  );
}

export function opcuaTags({ site: made }: LoadedSite): OpcuaTag[] {
  return made.processes.flatMap(({ lines }) =>
    lines.flatMap((line) => (line.driver === 'opcua' ? line.stations.flatMap(({ tags }) => tags) : [])),
  );
}

export const filesOf = (files: Record<string, string>): Partial<ResolveOptions> => ({
  readFile: (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`no file ${path}`);
    return text;
  },
  findFiles: () => Object.keys(files).sort(),
});
