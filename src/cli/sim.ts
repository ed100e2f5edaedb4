import { closeSync, openSync, writeSync } from 'node:fs';
import { Command, Option } from 'commander';
import { loadSite } from '../config/load.ts';
import type { Line } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import { valueToJson } from '../domain/sample.ts';
import { Plant } from '../sim/plant.ts';
import type { ServedRecorder, ServedValue } from '../sim/record.ts';
import { formatAddress } from '../world/transport.ts';
import { writeLocalSite } from './local-site.ts';
import type { CommandContext } from './program.ts';
import { LOG_LEVELS, realWorld, untilSignal } from './world.ts';

interface SimOptions {
  readonly from: string;
  readonly server?: string;
  readonly local?: string;
  readonly record?: string;
  readonly seed: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** `kom sim`: simulators of every station of a site, until SIGTERM or SIGINT. */
export function simCommand({ output }: CommandContext): Command {
  return new Command('sim')
    .description('Simulates every device of a site file at its own address, until SIGTERM.')
    .requiredOption('--from <site.json>', 'the site file')
    .option('--server <name>', 'take the serial devices of this comm server')
    .option('--local <site.json>', 'use free ports of this machine, and write a site file that names them')
    .option('--record <file>', 'write every value that a client was served, as JSON lines')
    .option('--seed <number>', 'same seed, same values', '1')
    .addOption(
      new Option('--log-level <level>', 'how much is logged').choices([...LOG_LEVELS]).default('info'),
    )
    .action(async (options: SimOptions) => {
      const world = realWorld({ level: options.logLevel, name: 'kom-sim' });
      if (options.local !== undefined) await writeLocalSite(options.from, options.local, world.transport);
      const { site } = await loadSite(options.local ?? options.from, {
        secretsOptional: true,
        ...(options.server === undefined ? {} : { server: options.server }),
      });
      using record = new RecordFile(options.record);
      await using plant = await Plant.start(site, {
        ...world,
        seed: parseSeed(options.seed),
        recorder: record,
      });
      for (const { line } of plant.lines) {
        const stations = line.stations.map(({ name }) => name).join(', ');
        output.note(`${line.name} at ${placeOf(line)}: ${stations}`);
      }
      if (options.local !== undefined) output.note(`run the agent on ${options.local}`);
      await untilSignal();
    });
}

function parseSeed(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new KomError('KOM_USAGE', '--seed is not a whole number', { got: text });
}

function placeOf(line: Line): string {
  if (line.driver === 'opcua') return line.endpointUrl;
  return line.channel.kind === 'rtu' ? line.channel.device : formatAddress(line.channel.address);
}

/** Writes served values as JSON lines; nowhere if no file is named. */
class RecordFile implements ServedRecorder, Disposable {
  readonly #descriptor: number | null;

  constructor(file: string | undefined) {
    this.#descriptor = file === undefined ? null : openSync(file, 'w');
  }

  served(value: ServedValue): void {
    if (this.#descriptor === null) return;
    writeSync(this.#descriptor, `${JSON.stringify({ ...value, value: valueToJson(value.value) })}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
  }
}
