import { pino } from 'pino';
import type { Log } from '../log.ts';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Who speaks; the field `name` of every line. */
  readonly name: string;
  /** Takes the lines, each ending in a newline; standard output if not given. */
  readonly destination?: { write(line: string): void };
}

/** Bound on what standard output does not take yet; beyond it lines are dropped, nothing waits for a log. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

/** A log of JSON lines. Fields named `error` show their message, code, cause and stack. */
export function createLog(options: LogOptions): Log {
  const destination =
    options.destination ?? pino.destination({ fd: 1, sync: false, maxLength: BUFFERED_BYTES_MAX });
  return pino(
    {
      level: options.level,
      base: { name: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
    },
    destination,
  );
}
