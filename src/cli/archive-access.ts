import type { Command } from 'commander';
import type { ArchiveQueries } from '../kernel/archive/query.ts';
import type { CommandContext } from './program.ts';

/** Where the archive is: a Kernel's configuration file, or the control socket of a running one. */
export interface ArchiveSource {
  readonly kernel?: string;
  readonly socket?: string;
}

/** Reaches a running Kernel, or opens the archive itself when none runs. */
export type OpenArchiveQueries = (source: ArchiveSource) => Promise<ArchiveQueries & AsyncDisposable>;

/** What the subcommands of `kom archive` share. */
export interface ArchiveContext {
  readonly context: CommandContext;
  readonly open: OpenArchiveQueries;
  readonly nowUs: () => number;
}

/** Adds the options that say where the archive is. */
export function withSource(command: Command): Command {
  return command
    .option('--kernel <file>', "the Kernel's configuration file", 'kernel.json')
    .option('--socket <path>', 'control socket of the running Kernel');
}
