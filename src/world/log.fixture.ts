import { type Log, type LogFields, silentLog } from './log.ts';

/** A log, and what it was given, but for what only developers read. */
export function keptLines() {
  const lines: [level: 'info' | 'warn' | 'error', message: string, fields: LogFields][] = [];
  const keep = (level: 'info' | 'warn' | 'error') => (fields: LogFields, message: string) =>
    void lines.push([level, message, fields]);
  const log: Log = {
    ...{ debug: silentLog.debug, info: keep('info'), warn: keep('warn'), error: keep('error') },
    child: () => log,
  };
  return { lines, log };
}
