import { ExitCode } from '../exit-codes.ts';
import type { Output } from '../output.ts';
import { proveStage } from './prove.ts';
import type { Stage } from './stage.ts';
import { stationToUnplug, Watch } from './story.ts';
import { proofTable } from './table.ts';
import { createView } from './view.ts';

const KEYS =
  '[c] cut or restore the uplink   [k] kill or start the Kernel   [u] unplug or plug a device   ' +
  '[q] prove and quit';
const SETTLE_MAX_MS = 30_000;
const SETTLE_MS = 2500;

/** Stays up and takes keys; at the end everything is healed and proved. */
export async function playInteractively(stage: Stage, output: Output): Promise<number> {
  const view = createView(output, { quiet: false, keys: KEYS });
  const watch = new Watch(stage, view);
  const station = stationToUnplug(stage);
  let isUnplugged = false;
  let wantsEnd = false;
  let work: Promise<void> = Promise.resolve();
  const onKey = (key: string): void => {
    if (key === 'q' || key === '\u0003') wantsEnd = true;
    else if (key === 'c') stage.cable.isCut ? stage.cable.heal() : stage.cable.cut();
    else if (key === 'k')
      work = work.then(() => (stage.isKernelUp ? stage.killKernel() : stage.startKernel()));
    else if (key === 'u') {
      isUnplugged = !isUnplugged;
      stage.plant.unplug(station, isUnplugged);
    }
  };
  view.scene('Running');
  if (!output.isTerminal) output.line(KEYS);
  const stopKeys = listenForKeys(onKey);
  try {
    while (!wantsEnd) {
      view.scene(isUnplugged ? `Running, ${station} unplugged` : 'Running');
      await watch.lookFor(200);
      // The history of moments is for a chart; hours of play need none.
      watch.moments.length = 0;
    }
    await work;
    view.scene('Healing everything, then the proof');
    if (isUnplugged) stage.plant.unplug(station, false);
    stage.cable.heal();
    if (!stage.isKernelUp) await stage.startKernel();
    await watch.lookFor(SETTLE_MAX_MS, ({ state, ringSamples }) => state === 'online' && ringSamples === 0);
    const untilUs = stage.world.clock.wallUs();
    await watch.lookFor(SETTLE_MS);
    view.close();
    const proof = await proveStage(stage, untilUs);
    for (const line of proofTable(proof)) output.line(line);
    return proof.ok ? ExitCode.ok : ExitCode.failed;
  } finally {
    stopKeys();
    view.close();
  }
}

/** Single keys from a terminal, or characters from a pipe. Returns what ends it. */
function listenForKeys(onKey: (key: string) => void): () => void {
  const { stdin } = process;
  const onData = (data: Buffer): void => {
    for (const key of data.toString('utf8')) onKey(key);
  };
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.on('end', () => onKey('q'));
  return () => {
    stdin.removeListener('data', onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
}
