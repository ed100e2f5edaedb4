import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Said, SETTINGS, type StoreSettings, sayings, sharedMonotonicMs } from './settings.ts';

const WRITER = join(import.meta.dirname, 'writer.ts');
/** Counted from the start of the process a kill falls into loading, opening, or the first appends. */
const FROM_START_MS = { min: 60, spread: 400 };
/** Counted from the first thing said it falls into a run of this length at most. */
const FROM_MINTED_MS = 800;
/**
 * Small blocks are joined when a segment is full of them, which takes some thirty appends, however slow the
 * machine is: that life is counted in them.
 */
const JOINING_APPENDS = 150;
const JOINING_SPREAD_MS = 30;
const STUCK_MS = 20_000;

export interface Killed {
  readonly said: readonly Said[];
  readonly atMs: number;
}

/**
 * Runs a writer and kills it at a random moment; `cut` happens right before, and resolves to the moment at
 * which the power went.
 */
export async function runAndKill(
  directory: string,
  { policy, capacityBytes, blockAgeMs }: StoreSettings,
  cut?: () => Promise<number>,
): Promise<Killed> {
  const kernel = Math.random() < 0.5 ? 'away' : 'slow';
  const store = [policy, String(capacityBytes), String(blockAgeMs)];
  const child = spawn(process.execPath, [WRITER, directory, kernel, ...store], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let atMs = 0;
  let isTimed = false;
  let isKilled = false;
  const kill = async (): Promise<void> => {
    if (isKilled) return;
    isKilled = true;
    const cutMs = await cut?.();
    atMs = cutMs ?? sharedMonotonicMs();
    child.kill('SIGKILL');
  };
  const killIn = (ms: number): void => {
    isTimed = true;
    setTimeout(() => void kill(), ms);
  };
  if (Math.random() < 0.4) killIn(FROM_START_MS.min + Math.random() * FROM_START_MS.spread);
  const stuck = setTimeout(() => void kill(), STUCK_MS);
  const isJoining = blockAgeMs < SETTINGS.blockAgeMs;
  let appendsLeft = Math.random() * JOINING_APPENDS;
  child.stdout.on('data', (bytes: Buffer) => {
    const said = bytes.toString();
    text += said;
    if (isTimed) return;
    appendsLeft -= said.split('"kind":"durable"').length - 1;
    if (!isJoining) killIn(Math.random() * FROM_MINTED_MS);
    else if (appendsLeft <= 0) killIn(Math.random() * JOINING_SPREAD_MS);
  });
  await once(child, 'close');
  clearTimeout(stuck);
  if (child.signalCode !== 'SIGKILL') throw new Error(`the writer ended by itself: ${child.exitCode}`);
  return { said: sayings(text), atMs };
}
