import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every tenth call waits as long as it may, the others a tenth of that or less. */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
static atomic_uint calls;
static void wait_ms(void) {
  const char *most = getenv("SLOW_FSYNC_MS");
  unsigned ms = most ? (unsigned)atoi(most) : 0;
  unsigned call = atomic_fetch_add(&calls, 1);
  if (call % 10 != 0) ms = ms * (call * 7 % 10) / 100;
  struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
  nanosleep(&t, 0);
}
int fsync(int fd) {
  wait_ms();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  wait_ms();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
`;

/**
 * What a process has to be started with so that its disk takes up to so long to make something durable.
 * `null`: this machine has no C compiler.
 */
export function slowFsync(directory: string, mostMs: number): Readonly<Record<string, string>> | null {
  const source = join(directory, 'slow-fsync.c');
  const library = join(directory, 'slow-fsync.so');
  writeFileSync(source, SOURCE);
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return { LD_PRELOAD: library, SLOW_FSYNC_MS: String(mostMs) };
}
