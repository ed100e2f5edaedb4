import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeError, KomError } from '../domain/errors.ts';
import { makeArchive } from './archive.ts';
import { type FileAccess, mergeIncludes, realFiles, splitPath } from './files.ts';
import { isObject, parseJson, withoutComments } from './json.ts';
import { makeKernelGroup, makeSharing } from './kernel-group.ts';
import { makeDialledAgents } from './links.ts';
import type { KernelConfig } from './model/kernel.ts';
import type { Site } from './model.ts';
import { ConfigProblems, formatPath, type JsonPath, type Problem, ProblemList } from './problems.ts';
import { kernelSchema, type SiteInput, siteSchema } from './schema.ts';
import { parseAddress } from './schema-parts.ts';
import { makeSite } from './site.ts';
import type { Explained } from './tags.ts';
import { checkLink, makeTlsFiles } from './tls.ts';
import { validate } from './validate.ts';

export type { Problem } from './problems.ts';
export { ConfigProblems, formatProblem } from './problems.ts';

export interface LoadOptions {
  /**
   * The comm server to load for: its serial devices and its data directory (for the default directory of
   * certificates) are filled in. Without it, those of the first server of each process.
   */
  readonly server?: string;
  /** A secret that is not there is a warning, because the file is only being checked. */
  readonly secretsOptional?: boolean;
  /** Certificates are still to be made: links count as if the file had a `tls` section. */
  readonly assumeTls?: boolean;
  /** Also tell where each value of each tag was given. */
  readonly explain?: boolean;
}

export interface ResolveOptions extends LoadOptions, Partial<FileAccess> {
  /** Where relative paths start. */
  readonly directory: string;
  /** Name of the file in messages. */
  readonly file?: string;
}

export interface LoadedSite {
  readonly site: Site;
  /** What the file says, with what it includes and with every default. */
  readonly input: SiteInput;
  /** Warnings; with an error nothing is loaded. */
  readonly problems: readonly Problem[];
  /** Values of each tag, by full name, and where they were given; empty without `explain`. */
  readonly explained: ReadonlyMap<string, readonly Explained[]>;
}

/**
 * Loads a site file. This and `resolveSite` are the only makers of a `Site`.
 * @throws ConfigProblems with everything that is wrong; KomError KOM_CONFIG_UNREADABLE
 */
export async function loadSite(path: string, options: LoadOptions = {}): Promise<LoadedSite> {
  const { directory, file } = splitPath(path);
  return resolveSite(parseJson(await readText(path), file), { ...options, directory, file });
}

/**
 * Makes a site from the parsed content of a site file; reads files and environment only through `options`.
 * @throws ConfigProblems with everything that is wrong
 */
export function resolveSite(raw: unknown, options: ResolveOptions): LoadedSite {
  const file = options.file ?? 'site file';
  const files: FileAccess = {
    readFile: options.readFile ?? realFiles.readFile,
    findFiles: options.findFiles ?? realFiles.findFiles,
    environment: options.environment ?? realFiles.environment,
  };
  const main = withoutComments(raw);
  if (!isObject(main))
    throw new ConfigProblems(file, [{ path: '$', message: 'a site file holds an object' }]);
  let includedFrom: ReadonlyMap<string, string> = new Map();
  const locate = (path: JsonPath): string | undefined => {
    if (includedFrom.size === 0) return undefined;
    for (let length = path.length; length > 0; length--) {
      const found = includedFrom.get(formatPath(path.slice(0, length)));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const problems = new ProblemList(locate);
  const warnings = new ProblemList(locate);
  const context = { directory: options.directory, files, problems };
  const merged = mergeIncludes(main, file, context);
  includedFrom = merged.files;
  const input = validate(siteSchema, merged.value, problems);
  const explained = new Map<string, readonly Explained[]>();
  const site =
    input === undefined
      ? undefined
      : makeSite(
          options.assumeTls === true ? { ...input, tls: input.tls ?? { directory: './tls' } } : input,
          {
            context,
            warnings,
            server: options.server,
            secretsOptional: options.secretsOptional === true,
            explained: options.explain === true ? explained : undefined,
          },
        );
  if (input === undefined || site === undefined || problems.all.length > 0) {
    throw new ConfigProblems(file, problems.all);
  }
  return { site, input, problems: warnings.all, explained };
}

/**
 * Loads a Kernel file.
 * @throws ConfigProblems with everything that is wrong; KomError KOM_CONFIG_UNREADABLE
 */
export async function loadKernelConfig(
  path: string,
  options: Pick<LoadOptions, 'secretsOptional'> = {},
): Promise<{ readonly config: KernelConfig; readonly problems: readonly Problem[] }> {
  const { directory, file } = splitPath(path);
  return resolveKernelConfig(parseJson(await readText(path), file), { ...options, directory, file });
}

/** Makes the configuration of a Kernel from the parsed content of its file. @throws ConfigProblems */
export function resolveKernelConfig(
  raw: unknown,
  options: Pick<ResolveOptions, 'directory' | 'file' | 'secretsOptional' | 'readFile' | 'environment'>,
): { readonly config: KernelConfig; readonly problems: readonly Problem[] } {
  const problems = new ProblemList();
  const warnings = new ProblemList();
  const input = validate(kernelSchema, withoutComments(raw), problems);
  const listen = input === undefined ? null : parseAddress(input.listen, 3119);
  if (listen !== null && input !== undefined) {
    const { insecure, tls } = input;
    const link = { address: input.listen, host: listen.host, insecure, hasTls: tls !== undefined };
    checkLink(link, ['listen'], { problems, warnings });
  }
  const agents = input === undefined ? [] : makeDialledAgents(input, { problems, warnings });
  const { readFile: read, environment } = realFiles;
  const archive =
    input === undefined
      ? null
      : makeArchive(input.archive, {
          directory: options.directory,
          files: {
            readFile: options.readFile ?? read,
            environment: options.environment ?? environment,
          },
          ...{ problems, warnings, secretsOptional: options.secretsOptional === true },
        });
  const group =
    input === undefined ? undefined : makeKernelGroup(input, options.directory, { problems, warnings });
  const sharing = input === undefined ? undefined : makeSharing(input, { problems });
  if (input === undefined || listen === null || archive === null || problems.all.length > 0) {
    throw new ConfigProblems(options.file ?? 'Kernel file', problems.all);
  }
  const config: KernelConfig = {
    listen,
    insecure: input.insecure,
    tls: input.tls === undefined ? null : makeTlsFiles(options.directory, input.tls.directory, input.tls),
    ...(input.accept === undefined ? {} : { accept: input.accept }),
    agents,
    archive,
    ...(group === undefined ? {} : { redundancy: group }),
    ...(sharing === undefined ? {} : { sharing }),
    controlSocket:
      input.controlSocket === undefined
        ? resolve(archive.directory, 'kom-kernel.sock')
        : resolve(options.directory, input.controlSocket),
  };
  return { config, problems: warnings.all };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new KomError('KOM_CONFIG_UNREADABLE', path, { got: describeError(error), cause: error });
  }
}
