import { readFileSync } from 'node:fs';
import { mintId, type Random } from '../random.ts';

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/**
 * Identity of this run of the operating system, 32 hexadecimal digits: within one of them monotonic times of
 * different processes compare. Where the system tells none, every start of the program counts as a boot.
 */
export function bootId(random: Random, file: string = BOOT_ID_FILE): string {
  try {
    const digits = readFileSync(file, 'utf8')
      .replaceAll(/[^0-9a-f]/gi, '')
      .toLowerCase();
    if (digits.length === 32) return digits;
  } catch {
    // Not Linux, or no /proc: the identity is minted below.
  }
  return mintId(random);
}
