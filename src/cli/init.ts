import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { starterFiles } from '../config/starter.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { CommandContext } from './program.ts';

/** `kom init`: a commented site file to start from. */
export function initCommand({ output }: CommandContext): Command {
  return new Command('init')
    .description(
      'Write a commented site file, its JSON Schema, a table of tags and a Kernel file to start from.',
    )
    .argument('[directory]', 'where to', '.')
    .option('--force', 'overwrite files that are there')
    .action((directory: string, options: { readonly force?: boolean }) => {
      const files = starterFiles().map(({ name, text }) => ({ path: join(directory, name), text }));
      const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => path);
      if (there.length > 0 && options.force !== true) {
        throw new KomError('KOM_USAGE', `${there.join(', ')} would be overwritten`, {
          hint: 'use --force to overwrite, or another directory',
        });
      }
      try {
        mkdirSync(directory, { recursive: true });
        for (const { path, text } of files) writeFileSync(path, text);
      } catch (error) {
        throw new KomError('KOM_USAGE', `${directory} cannot be written`, { got: describeError(error) });
      }
      for (const { path } of files) output.line(path);
      output.note(`next: kom check ${join(directory, 'site.json')}`);
    });
}
