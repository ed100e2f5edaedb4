/**
 * Samples through assembler, backlog and ring as in the product, against a Kernel that is away or slow,
 * until somebody kills it. Says on standard output what happened, before anybody could act on it.
 */
import { writeSync } from 'node:fs';
import { Assembler } from '../../src/buffer/assembler.ts';
import { Backlog } from '../../src/buffer/backlog.ts';
import { openRing } from '../../src/buffer/open-ring.ts';
import { lastSequence } from '../../src/domain/block/block.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { silentLog } from '../../src/world/log.ts';
import { mintId } from '../../src/world/random.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { type Said, SETTINGS, sampleOf, sharedMonotonicMs, TICK_MS } from './settings.ts';

const SAMPLES_PER_TICK = 60;
const READ_BYTES = 64 * 1024;

const [directory = '', policyName = '', capacity = '', kernel = 'away'] = process.argv.slice(2);
const policy = policyName === 'always' ? 'always' : 'on-outage';
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
  say({ kind: 'asked', atMs: sharedMonotonicMs() });
  const result = await append(blocks);
  const through = Math.max(...[...result.stored, ...result.refused].map(({ last }) => last));
  say({ kind: 'durable', through, atMs: sharedMonotonicMs() });
  return result;
};

const dictionary = encodeDictionary({ site: 's', process: 'p', tags: [] });
await ring.putDictionary(dictionary);
const backlog = new Backlog({ ...SETTINGS, ring, policy, clock, log: silentLog });
const assembler = new Assembler({
  streamId,
  dictionaryHash: dictionary.hash,
  clock,
  blockAgeMs: SETTINGS.blockAgeMs,
  seal: (block) => backlog.accept(block),
  hasRoom: () => backlog.hasRoom,
  numbered: () => undefined,
  overloadEnded: () => undefined,
});

let dueMs = sharedMonotonicMs() + TICK_MS;
clock.repeat('samples', TICK_MS, () => {
  // The gap of an overload that ends with these samples takes the number before theirs.
  const first = assembler.nextSequence + (assembler.overloadCount > 0 ? 1 : 0);
  const atMs = sharedMonotonicMs();
  const lateMs = Math.max(0, atMs - dueMs);
  dueMs = atMs + TICK_MS;
  assembler.accept(Array.from({ length: SAMPLES_PER_TICK }, (_, at) => sampleOf(streamId, first + at)));
  say({ kind: 'numbered', through: assembler.nextSequence - 1, atMs, lateMs });
});
clock.repeat('alive mark', SETTINGS.aliveMarkMs, () => {
  const tellGaps = (): void => {
    for (const gap of ring.gaps()) {
      say({ kind: 'gap', streamId: gap.streamId, first: gap.firstSequence, last: gap.lastSequence });
    }
  };
  // A disk that takes no alive mark now may take the next one.
  ring.markAlive(clock.wallUs(), assembler.nextSequence).then(tellGaps, () => undefined);
});

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
