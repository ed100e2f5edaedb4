import { chmodSync, mkdtempSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeLeftovers } from './leftovers.ts';
import { type Command, read, type Values } from './usage.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A database server runs as somebody else, and passes through to what is its own. */
const MODE_TO_PASS_THROUGH = 0o711;

/**
 * Does what the arguments of this process ask of a command for developers, and ends with the exit code that
 * the job resolves to. However it ends, with Ctrl-C or an error, no process, directory or namespace of it
 * stays: temporary files of its own and of its children lie in one directory.
 */
export async function runCommand<const Given extends Command['options']>(
  of: Command<Given>,
  job: (values: Values<Given>, subject: string) => Promise<number>,
): Promise<void> {
  const reading = await read(of, process.argv.slice(2));
  if ('said' in reading) {
    (reading.code === 0 ? process.stdout : process.stderr).write(reading.said);
    process.exitCode = reading.code;
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), `kom-${of.name.replaceAll(':', '-')}-`));
  chmodSync(directory, MODE_TO_PASS_THROUGH);
  process.env['TMPDIR'] = directory;
  process.on('exit', () => removeLeftovers(directory));
  for (const signal of SIGNALS) process.on(signal, () => process.exit(128 + constants.signals[signal]));
  process.exitCode = await job(reading.values, reading.subject);
}
