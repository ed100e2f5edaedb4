import { mkdir, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Judge } from './judge.ts';
import { runAndKill } from './kill.ts';
import type { Loss, Write } from './loss.ts';
import { CuttableDisk, reasonAgainstPowerCuts } from './power.ts';
import { STORES, type StoreSettings } from './settings.ts';

type Policy = StoreSettings['policy'];

export interface LossSummary {
  readonly runs: number;
  readonly samplesP50: number;
  readonly samplesMax: number;
  readonly ageMsP50: number;
  readonly ageMsMax: number;
  /** The bound of the run that came closest to its bound, or furthest beyond. */
  readonly closest: Pick<Loss, 'ageMs' | 'boundMs' | 'writeMs' | 'stallMs'>;
}

/** Writes that were confirmed, and what was at risk until then. */
export interface WriteSummary {
  readonly writes: number;
  readonly changes: number;
  readonly plainMsP50: number;
  readonly plainMsMax: number;
  /** Of those that changed to another segment. */
  readonly changeMsP50: number;
  readonly changeMsMax: number;
  /** The one whose oldest sample came closest to the bound that the product stated, or furthest beyond. */
  readonly closest: Pick<Write, 'ageMs' | 'boundMs'>;
}

export interface CrashReport {
  readonly kills: number;
  readonly powerCuts: number;
  /** Why there were no power cuts, if some were asked for. */
  readonly powerCutsSkipped: string | null;
  /** A file that nobody synced was gone after so many of the cuts: the rig does cut. */
  readonly unsyncedLost: number;
  readonly violations: readonly string[];
  readonly blocksRead: number;
  /** Runs that were killed while they stood by, and count as ended cleanly. */
  readonly cleanEnds: number;
  /** Samples that the full rings gave up. */
  readonly evicted: number;
  /** Segments whose blocks were joined, counted after each crash. */
  readonly joined: number;
  readonly loss: Readonly<Record<Policy, LossSummary>>;
  readonly write: WriteSummary;
  readonly seconds: number;
}

/** Kills writers and cuts their power as often as asked, in equal shares on each kind of store. */
export async function crash(asked: { kills: number; powerCuts: number }): Promise<CrashReport> {
  const startedMs = Date.now();
  const root = await mkdtemp(join(tmpdir(), 'kom-crash-'));
  const judges: Judge[] = [];
  const reason = asked.powerCuts > 0 ? await reasonAgainstPowerCuts() : null;
  const powerCuts = reason === null ? asked.powerCuts : 0;
  let unsyncedLost = 0;
  try {
    for (const [at, store] of STORES.entries()) {
      const share = (count: number): number => Math.ceil((count - at) / STORES.length);
      judges.push(await killOften(join(root, `killed-${at}`), store, share(asked.kills)));
      if (share(powerCuts) === 0) continue;
      const { judge, lost } = await cutOften(join(root, `cut-${at}`), store, share(powerCuts));
      judges.push(judge);
      unsyncedLost += lost;
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  const losses = judges.flatMap((judge) => judge.losses);
  return {
    kills: asked.kills,
    powerCuts,
    powerCutsSkipped: reason,
    unsyncedLost,
    violations: judges.flatMap((judge) => judge.violations),
    blocksRead: judges.reduce((sum, { blocksRead }) => sum + blocksRead, 0),
    cleanEnds: judges.reduce((sum, { cleanEnds }) => sum + cleanEnds, 0),
    evicted: judges.reduce((sum, { evicted }) => sum + evicted, 0),
    joined: judges.reduce((sum, { joined }) => sum + joined, 0),
    loss: {
      always: summary(losses.filter(({ policy }) => policy === 'always')),
      'on-outage': summary(losses.filter(({ policy }) => policy === 'on-outage')),
    },
    write: writeSummary(judges.flatMap((judge) => judge.writes)),
    seconds: Math.round((Date.now() - startedMs) / 1000),
  };
}

/** One ring that grows and rotates over all the runs. */
async function killOften(directory: string, store: StoreSettings, kills: number): Promise<Judge> {
  const judge = new Judge(store);
  for (let kill = 0; kill < kills; kill += 1) {
    const { said, atMs } = await runAndKill(directory, store);
    await judge.check(directory, said, atMs);
  }
  return judge;
}

async function cutOften(
  root: string,
  store: StoreSettings,
  cuts: number,
): Promise<{ readonly judge: Judge; readonly lost: number }> {
  const judge = new Judge(store);
  await mkdir(root);
  const disk = await CuttableDisk.make(root);
  const ring = join(disk.mountPoint, 'ring');
  let lost = 0;
  try {
    for (let cut = 0; cut < cuts; cut += 1) {
      await disk.powerOn();
      const { said, atMs } = await runAndKill(ring, store, async () => {
        await writeFiles(disk.mountPoint);
        return await disk.cut();
      });
      await disk.recover();
      const { isSyncedKept, isUnsyncedKept } = await keptFiles(disk.mountPoint);
      if (!isSyncedKept) judge.violations.push('the rig lost a synced file');
      if (!isUnsyncedKept) lost += 1;
      await judge.check(ring, said, atMs);
      await disk.unmount();
    }
  } finally {
    await disk.dispose();
  }
  return { judge, lost };
}

/** One file that is synced, and then one that is not, to see that the cut is a cut. */
async function writeFiles(directory: string): Promise<void> {
  const synced = await open(join(directory, 'synced'), 'w');
  await synced.write('kept');
  await synced.sync();
  await synced.close();
  const unsynced = await open(join(directory, `unsynced-${Date.now()}`), 'w');
  await unsynced.write('lost');
  await unsynced.close();
}

async function keptFiles(directory: string): Promise<{ isSyncedKept: boolean; isUnsyncedKept: boolean }> {
  const names = await readdir(directory);
  const sizes = await Promise.all(
    names
      .filter((name) => name.startsWith('unsynced'))
      .map(async (name) => {
        const { size } = await stat(join(directory, name));
        await rm(join(directory, name));
        return size;
      }),
  );
  return { isSyncedKept: names.includes('synced'), isUnsyncedKept: sizes.some((size) => size > 0) };
}

function summary(losses: readonly Loss[]): LossSummary {
  const samples = ascending(losses.map((loss) => loss.samples));
  const ages = ascending(losses.map((loss) => loss.ageMs));
  const { ageMs = 0, boundMs = 0, writeMs = 0, stallMs = 0 } = closest(losses) ?? {};
  return {
    runs: losses.length,
    samplesP50: median(samples),
    samplesMax: samples.at(-1) ?? 0,
    ageMsP50: median(ages),
    ageMsMax: ages.at(-1) ?? 0,
    closest: { ageMs, boundMs, writeMs, stallMs },
  };
}

function writeSummary(writes: readonly Write[]): WriteSummary {
  const took = (isChange: boolean): number[] =>
    ascending(writes.filter((write) => write.isChange === isChange).map(({ tookMs }) => tookMs));
  const { ageMs = 0, boundMs = 0 } = closest(writes) ?? {};
  return {
    writes: writes.length,
    changes: took(true).length,
    plainMsP50: median(took(false)),
    plainMsMax: took(false).at(-1) ?? 0,
    changeMsP50: median(took(true)),
    changeMsMax: took(true).at(-1) ?? 0,
    closest: { ageMs, boundMs },
  };
}

/** The one whose age is the largest part of its bound. */
function closest<T extends { readonly ageMs: number; readonly boundMs: number }>(
  all: readonly T[],
): T | undefined {
  return all.toSorted((a, b) => b.ageMs / b.boundMs - a.ageMs / a.boundMs)[0];
}

function ascending(numbers: readonly number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1] ?? 0;
}
