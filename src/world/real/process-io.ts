import { readFileSync } from 'node:fs';

const IO_FILE = '/proc/self/io';

/**
 * Bytes that this process made the file systems write since its start: whole pages, journals apart. `null`
 * where the system does not count them (proc(5), /proc/pid/io, write_bytes).
 */
export function flashBytes(file: string = IO_FILE): number | null {
  try {
    const digits = /^write_bytes: (\d+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
    return digits === undefined ? null : Number(digits);
  } catch {
    return null;
  }
}
