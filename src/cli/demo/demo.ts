import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { formatDuration, formatSize } from '../../domain/units.ts';
import type { Proof } from '../../sim/proof.ts';
import { ExitCode } from '../exit-codes.ts';
import type { Output } from '../output.ts';
import type { CommandContext } from '../program.ts';
import { realWorld } from '../world.ts';
import { drawChart } from './chart.ts';
import { playInteractively } from './interactive.ts';
import { proveStage } from './prove.ts';
import { Stage } from './stage.ts';
import { type StoryResult, tellStory } from './story.ts';
import { proofTable } from './table.ts';
import { createView } from './view.ts';

interface DemoOptions {
  readonly json?: true;
  readonly interactive?: true;
  readonly chart?: string;
  readonly keep?: true;
}

/** `kom demo`: the main job on simulated devices, with a proof at the end. */
export function demoCommand({ output, exit }: CommandContext): Command {
  return new Command('demo')
    .description(
      'Shows the main job on simulated devices and proves it: online, link cut for 10 s, backlog drained.',
    )
    .option('--json', 'say nothing but one JSON line at the end')
    .option('--interactive', 'stay up and take keys: cut the link, kill the Kernel, unplug a device')
    .option('--chart <file.svg>', 'draw the backlog and the age of live values')
    .option(
      '--keep',
      "keep the files of the demo (logs, ring, archive, the simulators' record) and say where they are",
    )
    .action(async (options: DemoOptions) => {
      const world = realWorld({ level: 'silent', name: 'kom-demo' });
      const isJson = options.json === true;
      if (!isJson) output.line('Starting simulators, Kernel and agent …');
      const stage = await Stage.set(world);
      const stopOnSignal = (): void => {
        void stage.strike({ keepFiles: options.keep === true }).then(() => process.exit(130));
      };
      process.once('SIGINT', stopOnSignal);
      process.once('SIGTERM', stopOnSignal);
      try {
        if (options.interactive === true) exit(await playInteractively(stage, output));
        else exit(await play(stage, output, options));
      } finally {
        process.removeListener('SIGINT', stopOnSignal);
        process.removeListener('SIGTERM', stopOnSignal);
        await stage.strike({ keepFiles: options.keep === true });
        if (options.keep === true) output.note(`files are in ${stage.directory}`);
      }
    });
}

async function play(stage: Stage, output: Output, options: DemoOptions): Promise<number> {
  const view = createView(output, { quiet: options.json === true });
  let story: StoryResult;
  try {
    story = await tellStory(stage, view);
  } finally {
    view.close();
  }
  const proof = await proveStage(stage, story.untilUs);
  if (options.chart !== undefined) {
    const caption =
      `kom demo: ${proof.tags} tags over Modbus TCP and OPC UA, ` +
      `link cut for ${formatDuration(story.outageMs)}, restored at 200 kbit/s`;
    writeFileSync(options.chart, drawChart({ moments: story.moments, caption }));
  }
  if (options.json === true) output.line(JSON.stringify(jsonResult(story, proof)));
  else for (const line of report(story, proof)) output.line(line);
  return proof.ok ? ExitCode.ok : ExitCode.failed;
}

function jsonResult(story: StoryResult, proof: Proof): Readonly<Record<string, unknown>> {
  return {
    ok: proof.ok,
    produced: proof.produced,
    archived: proof.archived,
    lost: proof.lost,
    duplicates: proof.duplicates,
    outOfOrder: proof.outOfOrder,
    undeclaredGaps: proof.undeclaredGaps,
    foreign: proof.foreign,
    declared: proof.declared,
    superseded: proof.superseded,
    tags: proof.tags,
    outageMs: story.outageMs,
    backlogPeakSamples: story.backlogPeakSamples,
    ringPeakBytes: story.ringPeakBytes,
    drainMs: story.drainMs,
    liveAfterMs: story.liveAfterMs,
    backlogWhenLive: story.backlogWhenLive,
    ...(proof.ok ? {} : { findings: proof.findings }),
  };
}

/** The report for a person. */
function report(story: StoryResult, proof: Proof): string[] {
  const live =
    story.liveAfterMs === null
      ? 'live values did not come back'
      : `live values were there ${formatDuration(story.liveAfterMs)} after the link, ` +
        `with ${story.backlogWhenLive} samples of backlog still to come`;
  return [
    `Outage ${formatDuration(story.outageMs)}: the backlog grew to ${story.backlogPeakSamples} samples, ` +
      `${formatSize(story.ringPeakBytes)} of LevelDB ring on disk.`,
    `Drained in ${formatDuration(story.drainMs)} over a slow link; ${live}.`,
    `${story.unpluggedStation} was unplugged meanwhile: its time is declared as a gap.`,
    '',
    ...proofTable(proof),
  ];
}
