import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Line } from '../../src/config/model.ts';
import { OPEN_END } from '../../src/domain/gap.ts';
import type { SampleValue } from '../../src/domain/sample.ts';
import type { ArchivedRow, DeclaredGap } from '../../src/sim/archived-rows.ts';
import { type Proof, proveTag, sumProofs } from '../../src/sim/proof.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import type { Entry } from '../third-party/entry.ts';

const KERNEL = join(import.meta.dirname, '../third-party/kernel.ts');
const SETTLE_MS = 1500;
/** An Ack comes late enough for blocks to be on their way twice. */
const ACK_DELAY_MS = '300';

/** What the third party's Kernel tells on its standard output. */
type Told = Readonly<Record<string, unknown>>;

/** The Kernel that was written from the documents alone, as a process of its own. */
class ThirdPartyKernel implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly told: Told[] = [];
  #errors = '';
  readonly #closed: Promise<unknown>;

  private constructor(port: number, archive: string) {
    this.#child = spawn(process.execPath, [KERNEL, String(port), archive, ACK_DELAY_MS], {
      stdio: 'pipe',
    });
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.told.push(JSON.parse(line) as Told);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#closed = new Promise((resolve) => this.#child.once('close', resolve));
  }

  static async start(setup: Setup): Promise<ThirdPartyKernel> {
    const kernel = new ThirdPartyKernel(setup.kernelAddress.port, setup.file('third-party.jsonl'));
    await until('the Kernel to listen', () => {
      if (kernel.#child.exitCode !== null) throw new Error(kernel.#errors);
      return kernel.hasTold('listens');
    });
    return kernel;
  }

  hasTold(what: string): boolean {
    return this.told.some((each) => what in each);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    expect(this.#errors).toBe('');
  }
}

interface Gap {
  readonly streamId: string;
  readonly first: number;
  readonly last: number;
  readonly reason: string;
  readonly fromUs: number;
  readonly toUs: number;
  readonly countAtMost: number;
}

/** A line of its archive. */
interface Line3 {
  readonly streams?: readonly { readonly streamId: string }[];
  readonly dictionary?: { readonly hash: string; readonly content: string };
  readonly rows?: readonly {
    readonly streamId: string;
    readonly dictionary: string;
    readonly repair?: boolean;
    readonly entries: readonly (Omit<Entry, 'value'> & {
      readonly value: string | number | boolean | null;
    })[];
  }[];
  readonly gaps?: readonly Gap[];
}

interface TimeGap extends DeclaredGap {
  readonly station: string | null;
  readonly tags: readonly string[];
}

/** What its archive holds, read by nobody but this test. */
class ReadArchive {
  readonly rows: (ArchivedRow & { readonly station: string })[] = [];
  readonly timeGaps: TimeGap[] = [];
  readonly gaps: Gap[] = [];
  readonly streamOrder: string[] = [];
  /** Numbers with an entry, by stream. */
  readonly numbers = new Map<string, number[]>();

  constructor(path: string) {
    const tags = new Map<string, { name: string; station: string }[]>();
    const lines = readFileSync(path, 'utf8').split('\n');
    for (const line of lines.filter((each) => each !== '')) {
      const { streams = [], dictionary, rows = [], gaps = [] } = JSON.parse(line) as Line3;
      for (const { streamId } of streams)
        if (!this.streamOrder.includes(streamId)) this.streamOrder.push(streamId);
      if (dictionary !== undefined) tags.set(dictionary.hash, JSON.parse(dictionary.content).tags);
      for (const row of rows) this.#take(row, tags.get(row.dictionary) ?? []);
      this.gaps.push(...gaps);
    }
  }

  #take(
    { streamId, entries }: NonNullable<Line3['rows']>[number],
    tags: { name: string; station: string }[],
  ): void {
    const numbers = this.numbers.get(streamId) ?? [];
    this.numbers.set(streamId, numbers);
    for (const { sequence, tag, timeUs: sourceTimeUs, kind, value, quality, cause } of entries) {
      numbers.push(sequence);
      if (kind === 'time gap') this.timeGaps.push(JSON.parse(String(value)) as TimeGap);
      const named = tags[tag];
      if (kind === 'time gap' || kind === 'clock fix' || named === undefined) continue;
      const typed: SampleValue = kind === 'int64' ? BigInt(String(value)) : value;
      const place = { streamId, sequence, sourceTimeUs };
      this.rows.push({ tag: named.name, station: named.station, ...place, value: typed, quality, cause });
    }
  }

  gapsOf(tag: string, station: string): DeclaredGap[] {
    const timeGaps = this.timeGaps.filter((gap) => {
      return (gap.station ?? station) === station && (gap.tags.length === 0 || gap.tags.includes(tag));
    });
    return [...timeGaps, ...this.gaps.map(({ fromUs, toUs }) => ({ fromUs, toUs }))];
  }
}

/** Holds the archive of the third party against what the simulated devices served. */
async function prove(setup: Setup): Promise<{ proof: Proof; archive: ReadArchive }> {
  const untilUs = setup.world.clock.wallUs();
  await sleep(SETTLE_MS);
  const archive = new ReadArchive(setup.file('third-party.jsonl'));
  const lines = setup.site.processes.flatMap((process): readonly Line[] => process.lines);
  const proofs = lines.flatMap((line) =>
    line.driver !== 'modbus'
      ? []
      : line.stations.flatMap((station) =>
          station.tags.map((tag) =>
            proveTag({
              tag: tag.name,
              served: setup.served.filter((each) => each.tag === tag.name),
              archived: archive.rows.filter((row) => row.tag === tag.name),
              gaps: archive.gapsOf(tag.name, station.name),
              untilUs,
              pauseMaxMs: 2 * tag.scanMs + 1000,
              scanMs: tag.scanMs,
            }),
          ),
        ),
  );
  return { proof: sumProofs(proofs), archive };
}

/** Every number once, and none missing that no gap names. */
function expectEachNumberOnce({ numbers, gaps }: ReadArchive): void {
  for (const [streamId, given] of numbers) {
    expect(new Set(given).size, 'no number twice').toBe(given.length);
    const inGap = (sequence: number): boolean =>
      gaps.some((gap) => gap.streamId === streamId && gap.first <= sequence && sequence <= gap.last);
    const present = new Set(given);
    const last = Math.max(...given);
    const missing = Array.from({ length: last }, (_, at) => at + 1).filter((each) => !present.has(each));
    expect(
      missing.filter((each) => !inGap(each)),
      'no number lost silently',
    ).toEqual([]);
  }
}

test('a Kernel written from the documents alone gets every sample once and in order', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  const agent = await setup.spawnAgent();
  await sleep(800);
  let kernel = await ThirdPartyKernel.start(setup);
  try {
    await setup.untilOnline();
    await sleep(1000);
    expect(kernel.hasTold('dictionary')).toBe(true);

    // A cut, and live values ahead of the backlog when it is over.
    setup.cable.cut();
    await setup.untilStatus('the outage', ({ backlog }) => backlog.state === 'outage');
    await sleep(2000);
    setup.cable.heal();
    await setup.untilOnline();
    expect(kernel.hasTold('live')).toBe(true);

    // It forgets its dictionaries in the middle of a session.
    kernel.signal('SIGUSR2');
    await until('it to ask for a dictionary', () => kernel.hasTold('needDictionary'));
    await setup.untilOnline();
    await until('a second dictionary', () => kernel.told.filter((each) => 'dictionary' in each).length > 1);
    await until('what was not acknowledged to come again', () => kernel.hasTold('trimmed'));

    // Killed, and back with what it had synced.
    await kernel[Symbol.asyncDispose]();
    await sleep(1000);
    kernel = await ThirdPartyKernel.start(setup);
    await setup.untilOnline();
    await sleep(500);

    // The agent is killed while it is online, and comes back.
    await agent.kill('SIGKILL');
    await sleep(1500);
    const second = await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(800);

    // And stopped in the middle of an outage.
    setup.cable.cut();
    await sleep(1200);
    await second.kill('SIGTERM');
    setup.cable.heal();
    await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(500);

    const { proof, archive } = await prove(setup);
    expect(proof).toMatchObject(GREEN);
    expect(proof.archived).toBeGreaterThan(500);
    expect(archive.streamOrder).toHaveLength(3);
    expectEachNumberOnce(archive);
    // One run was killed; nothing else was lost, and only what a crash can cost.
    expect(archive.gaps).toMatchObject([
      { streamId: archive.streamOrder[0], reason: 'crash', last: OPEN_END },
    ]);
    expect(archive.timeGaps.length).toBeGreaterThan(1);
    expect(kernel.told.filter((each) => 'nack' in each)).toEqual([]);
  } finally {
    await kernel[Symbol.asyncDispose]();
  }
});
