import { createLog } from '../../../src/world/real/log.ts';

/** A line of the log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly time: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

/** The real log, with its lines kept. */
export function keptLog(name: string) {
  const lines: LogLine[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) };
  return { lines, log: createLog({ level: 'debug', name, destination }) };
}
