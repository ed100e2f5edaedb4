/**
 * Samples through assembler, backlog and ring as in the product, against a Kernel that is away or slow,
 * until somebody kills it. Says on standard output what happened, before anybody could act on it.
 */
import { writeSync } from 'node:fs';
import { Assembler } from '../../src/buffer/assembler.ts';
import { Backlog } from '../../src/buffer/backlog.ts';
import { openRing } from '../../src/buffer/open-ring.ts';
import { powerCutRisk } from '../../src/buffer/power-cut.ts';
import { lastSequence } from '../../src/domain/block/block.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { isKomError } from '../../src/domain/errors.ts';
import { silentLog } from '../../src/world/log.ts';
import { mintId } from '../../src/world/random.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { type Said, SETTINGS, sampleOf, sharedMonotonicMs, TICK_MS } from './settings.ts';

const SAMPLES_PER_TICK = 60;
/** It stands by for a part of the time, and with it for a part of the kills. */
const ACTIVE_MS = 100;
const STANDBY_MS = 150;
const SETTLE_MS = 10_000;
const READ_BYTES = 64 * 1024;

const [directory = '', kernel = 'away', policyName = '', capacity = '', blockAge = ''] =
  process.argv.slice(2);
const policy = policyName === 'always' ? 'always' : 'on-outage';
const blockAgeMs = Number(blockAge);
const clock = createClock();
const random = createRandom();

function say(said: Said): void {
  writeSync(1, `${JSON.stringify(said)}\n`);
}

const ring = await openRing(await openLevelDisk(directory), {
  ...SETTINGS,
  policy,
  capacityBytes: Number(capacity),
  freeDiskFloorBytes: 0,
  whenFull: 'drop-oldest',
  log: silentLog,
  clock,
  mintStreamId: () => mintId(random),
  bootId: 'b'.repeat(32),
});
const { streamId } = ring.stream;
void ring.minted.then(() => say({ kind: 'minted', streamId }));

const append = ring.append.bind(ring);
ring.append = async (blocks) => {
  const ends = blocks.map(({ header }) => lastSequence(header));
  const range = { first: blocks[0]?.header.firstSequence ?? 0, through: Math.max(...ends) };
  say({ kind: 'asked', ...range, atMs: sharedMonotonicMs() });
  const segment = newestSegment();
  const result = await append(blocks);
  const atMs = sharedMonotonicMs();
  const parts = { assembler, backlog, stat: backlog.stat() };
  const { boundMs } = powerCutRisk({ ...SETTINGS, blockAgeMs, store: policy }, parts);
  const isChange = newestSegment() !== segment;
  say({ kind: 'durable', ...range, atMs, boundMs, isChange });
  return result;
};

function newestSegment(): number | undefined {
  return ring.facts().segments.at(-1)?.number;
}

const dictionary = encodeDictionary({ site: 's', process: 'p', tags: [] });
await ring.putDictionary(dictionary);
const backlog = new Backlog({ ...SETTINGS, ring, policy, clock, log: silentLog });
const assembler = new Assembler({
  streamId,
  dictionaryHash: dictionary.hash,
  clock,
  blockAgeMs,
  seal: (block, firstMs) => {
    say({ kind: 'sealed', through: lastSequence(block.header), atMs: sharedMonotonicMs() });
    backlog.accept(block, firstMs);
  },
  hasRoom: () => backlog.hasRoom,
  numbered: () => undefined,
  overloadEnded: () => undefined,
});

let standsBy = false;
let isMarkedStandby = false;
clock.repeat('samples', TICK_MS, () => {
  if (standsBy) {
    say({ kind: 'idle', atMs: sharedMonotonicMs() });
    return;
  }
  // The gap of an overload that ends with these samples takes the number before theirs.
  const first = assembler.nextSequence + (assembler.overloadCount > 0 ? 1 : 0);
  const samples = Array.from({ length: SAMPLES_PER_TICK }, (_, at) =>
    sampleOf(streamId, first + at, { blockAgeMs }),
  );
  assembler.accept(samples);
  say({ kind: 'numbered', through: assembler.nextSequence - 1, atMs: sharedMonotonicMs() });
});
clock.repeat('alive mark', SETTINGS.aliveMarkMs, () => {
  const tellGaps = (): void => {
    for (const gap of ring.gaps()) {
      say({ kind: 'gap', streamId: gap.streamId, first: gap.firstSequence, last: gap.lastSequence });
    }
  };
  // A disk that takes no alive mark now may take the next one.
  const details = { isStandby: isMarkedStandby };
  ring.markAlive(clock.wallUs(), assembler.nextSequence, details).then(tellGaps, () => undefined);
});

/** Stands down and becomes active again, as an instance with a peer does. */
async function changeRoles(): Promise<never> {
  for (;;) {
    await clock.sleep(random.fraction() * ACTIVE_MS);
    assembler.finish();
    standsBy = true;
    if (!(await backlog.settle(SETTLE_MS))) throw new Error('the ring takes nothing');
    const through = assembler.nextSequence - 1;
    say({ kind: 'standing by', through });
    isMarkedStandby = true;
    await marked(through + 1, { isStandby: true });
    say({ kind: 'stood by', through });
    await clock.sleep(random.fraction() * STANDBY_MS);
    say({ kind: 'activating' });
    isMarkedStandby = false;
    await marked(through + 1, { isStandby: false });
    say({ kind: 'active' });
    standsBy = false;
  }
}
void changeRoles();

/** A disk that takes no mark now may take the next one, and the role waits for it. */
async function marked(next: number, details: { readonly isStandby: boolean }): Promise<void> {
  for (;;) {
    try {
      await ring.markAlive(clock.wallUs(), next, details);
      return;
    } catch (error) {
      if (!isKomError(error)) throw error;
      await clock.sleep(SETTINGS.aliveMarkMs);
    }
  }
}

if (kernel === 'slow') {
  backlog.linkUp();
  for (;;) {
    const more = backlog.more();
    const blocks = await backlog.next(READ_BYTES);
    if (blocks.length === 0) await more;
    await clock.sleep(random.fraction() * 250);
    for (const { header } of blocks) {
      const through = lastSequence(header);
      say({ kind: 'delivered', streamId: header.streamId, through });
      backlog.acknowledge(header.streamId, through);
    }
  }
}
