import { writeSync } from 'node:fs';
import { describeError, KomError } from '../domain/errors.ts';

/**
 * Where a subcommand prints. Data goes to standard output; everything said to a person besides goes to
 * standard error.
 */
export interface Output {
  /** A line of data. */
  line(text: string): void;
  /** A line for a person, not part of the data. */
  note(text: string): void;
  readonly isTerminal: boolean;
  readonly columns: number;
}

/**
 * The output of this process; synchronous, so that nothing is lost at exit. A closed pipe ends the process
 * quietly.
 */
export const processOutput: Output = {
  line: (text) => write(1, `${text}\n`),
  note: (text) => write(2, `${text}\n`),
  get isTerminal() {
    return process.stdout.isTTY === true;
  },
  get columns() {
    return process.stdout.columns ?? 100;
  },
};

/**
 * Writes all of `text`, waiting while a pipe is full. What standard error does not take goes nowhere.
 * @throws KomError KOM_OUTPUT if standard output does not take it: it may be a file on a full disk
 */
export function write(descriptor: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') process.exit(0);
      if (code !== 'EAGAIN') {
        if (descriptor === 2) return;
        throw new KomError('KOM_OUTPUT', 'standard output', { got: describeError(error), cause: error });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
