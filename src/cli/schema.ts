import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { keyTables, schemaText } from '../config/json-schema.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { CommandContext } from './program.ts';

interface SchemaOptions {
  readonly kernel?: boolean;
  readonly tables?: boolean;
  readonly write?: string;
}

/** `kom schema`: the JSON Schema of the site file or the Kernel file. */
export function schemaCommand({ output }: CommandContext): Command {
  return new Command('schema')
    .description('Print the JSON Schema of the site file.')
    .option('--kernel', 'of the Kernel file instead')
    .option('--tables', 'print the keys as Markdown tables instead')
    .option('--write <file>', 'write it to a file')
    .action((options: SchemaOptions) => {
      const kind = options.kernel === true ? 'kernel' : 'site';
      const text = options.tables === true ? `${keyTables(kind)}\n` : schemaText(kind);
      if (options.write === undefined) {
        output.line(text.trimEnd());
        return;
      }
      try {
        writeFileSync(options.write, text);
      } catch (error) {
        throw new KomError('KOM_USAGE', `${options.write} cannot be written`, { got: describeError(error) });
      }
      output.note(`wrote ${options.write}`);
    });
}
