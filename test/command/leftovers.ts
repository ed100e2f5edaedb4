import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Processes end in good order within this time, or are killed. */
const GRACE_MS = 3000;
const CHECK_MS = 20;
const NAMESPACES = '/run/netns';
const LOOPS = '/sys/block';

/**
 * Stops whatever this process began and that still runs, and takes down what only the system knows of it:
 * namespaces with its number, and what is mounted below its directory; then the directory itself. Nothing
 * here waits for the event loop: it may be what ends. Where there is no `/proc`, only the directory goes.
 */
export function removeLeftovers(directory: string): void {
  // A device forgets where its file was when whoever serves that ends.
  const loops = loopsBelow(directory);
  stopDescendants();
  removeNamespaces();
  unmountBelow(directory);
  for (const name of loops) tryTo('losetup', '--detach', `/dev/${name}`);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function stopDescendants(): void {
  // Also those whose parents are gone by then: only now is it known that they are of this process.
  const known = new Set(descendants());
  for (const pid of known) send(pid, 'SIGTERM');
  const endMs = performance.now() + GRACE_MS;
  while ([...known].some(isRunning) && performance.now() < endMs) {
    pause(CHECK_MS);
    for (const pid of descendants()) known.add(pid);
  }
  for (const pid of known) if (isRunning(pid)) send(pid, 'SIGKILL');
  while ([...known].some(isRunning) && performance.now() < endMs + GRACE_MS) pause(CHECK_MS);
}

function descendants(): number[] {
  const parents = new Map<number, number>();
  for (const name of entriesOf('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
    if (stat !== null && stat.state !== 'Z') parents.set(Number(name), stat.parent);
  }
  const found = new Set<number>();
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === process.pid || isBelow(parent));
  };
  for (const pid of parents.keys()) if (isBelow(pid)) found.add(pid);
  return [...found];
}

function isRunning(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== null && stat.state !== 'Z';
}

/** `null`: it is gone. */
function statOf(pid: number): { readonly state: string; readonly parent: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program is in parentheses, and may have some itself.
    const [state = '', parent = ''] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return null;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
}

/** Their names begin with kom and the number of the process that made them, and go on with a letter. */
function removeNamespaces(): void {
  const mine = new RegExp(`^kom${process.pid}[a-z]`);
  for (const name of entriesOf(NAMESPACES)) if (mine.test(name)) tryTo('ip', 'netns', 'del', name);
}

function unmountBelow(directory: string): void {
  if (!existsSync('/proc/mounts')) return;
  const below = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${directory}/`));
  // What was mounted last may lie on what was mounted before.
  for (const path of below.reverse()) tryTo('umount', '-l', path);
}

/** Names of block devices whose file is there. */
function loopsBelow(directory: string): string[] {
  return entriesOf(LOOPS).filter((name) => {
    const file = join(LOOPS, name, 'loop/backing_file');
    return existsSync(file) && readFileSync(file, 'utf8').startsWith(`${directory}/`);
  });
}

function tryTo(program: string, ...args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
  } catch {
    // Somebody else was faster.
  }
}

function entriesOf(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
