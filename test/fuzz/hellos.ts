import type { KernelServer } from '../../src/kernel/server.ts';
import { Channel } from '../../src/uplink/channel.ts';
import {
  COUNTER_JUMP_MAX,
  GREETINGS_PER_ADDRESS_MAX,
  HELLO_TIMEOUT_MS,
  NAME_CHARACTERS_MAX,
  NAMED_DICTIONARIES_MAX,
  RANGES_MAX,
  STREAMS_MAX,
  TIME_MAX_US,
} from '../../src/uplink/limits.ts';
import type { Hello, Message, StreamState } from '../../src/uplink/messages.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Connection } from '../../src/world/transport.ts';
import { pick } from './mutate.ts';
import { KERNEL, type Stage } from './stage.ts';

const SAFE = Number.MAX_SAFE_INTEGER;
/** Numbers on both sides of what a limit allows. */
const COUNTERS = [0, 1, COUNTER_JUMP_MAX - 1, COUNTER_JUMP_MAX, COUNTER_JUMP_MAX + 1, 2 ** 40, SAFE];
const TERMS = COUNTERS.map((counter) => Math.min(SAFE, 16 * counter));
const TIMES_ALLOWED = [0, 1, 1_795_000_000_000_000, TIME_MAX_US];
const TIMES = [...TIMES_ALLOWED, TIME_MAX_US + 1, SAFE];

const id = (random: SimulatedRandom): string =>
  random
    .below(2 ** 31)
    .toString(16)
    .padStart(32, '0');

/** Once in four one of some choices: a Hello that is wrong everywhere is refused for its first fault. */
function seldom<T>(random: SimulatedRandom, choices: readonly T[], usual: T): T {
  return random.below(4) === 0 ? pick(random, choices) : usual;
}

/** A Hello that is well formed and says what no honest agent would. */
export function hostileHello(random: SimulatedRandom): Hello {
  const dictionaries = seldom(random, [NAMED_DICTIONARIES_MAX, NAMED_DICTIONARIES_MAX + 1], 0);
  const count = random.below(20) === 0 ? STREAMS_MAX + 1 : random.below(4);
  const rangesMost = count > 0 && random.below(10) === 0 ? RANGES_MAX + 1 : 0;
  const streams = Array.from({ length: count }, (_, at) => hostileStream(random, at === 0 ? rangesMost : 0));
  return {
    ...{ protocolMin: seldom(random, [0, 2], 1), protocolMax: seldom(random, [0, SAFE], 1) },
    ...{ programVersion: 'x'.repeat(random.below(300)), lane: seldom(random, ['data', 'probe'], 'control') },
    sessionId: pick(random, ['', id(random)]),
    site: seldom(random, ['', 'x'.repeat(NAME_CHARACTERS_MAX + 1), 'a\nb'], 'S'),
    process: seldom(random, ['', 'KomZ'], 'KomY'),
    instance: seldom(random, [0, 16, SAFE], 1 + random.below(15)),
    siteHash: id(random),
    wallUs: seldom(random, TIMES, 1_795_000_000_000_000),
    streams: chained(streams, random),
    heartbeatMs: pick(random, [0, 1, 400, SAFE]),
    silenceMaxMs: pick(random, [0, 1, 1200, SAFE]),
    dictionaryHashes: Array.from({ length: dictionaries }, () => id(random)),
    highestTerm: seldom(random, TERMS, 0),
    highestKernelEpoch: seldom(random, COUNTERS, 0),
  };
}

function hostileStream(random: SimulatedRandom, ranges: number): StreamState {
  const first = seldom(random, [0, 7, SAFE - 1], 1);
  const range = { first, last: seldom(random, [0, first, SAFE], first + 5) };
  const held = seldom(random, [[range, range], [range, { first: 1, last: 2 }], []], [range]);
  const producedTo = seldom(random, [0, SAFE - 1, SAFE], 5);
  return {
    ...{ streamId: id(random), bootId: id(random), startedAtUs: pick(random, TIMES_ALLOWED), previous: null },
    held: ranges > 0 ? Array.from({ length: ranges }, (_, at) => twice(at)) : held,
    ...{ heldFromUs: pick(random, TIMES_ALLOWED), producedTo },
    endedAtUs: seldom(random, [...TIMES], null),
    running: random.below(2) === 0,
  };
}

function twice(at: number): { first: number; last: number } {
  return { first: 1 + 2 * at, last: 1 + 2 * at };
}

/** Some name a predecessor: another one, one that nobody knows, themselves, or each other in a ring. */
function chained(streams: readonly StreamState[], random: SimulatedRandom): StreamState[] {
  return streams.map((stream) => {
    if (random.below(2) === 0) return stream;
    const streamId = pick(random, [id(random), stream.streamId, pick(random, streams).streamId]);
    const previous = {
      ...{ streamId, lastDurableSequence: seldom(random, [0, SAFE - 1, SAFE], 5), endedCleanly: false },
      ...{ aliveUntilUs: pick(random, TIMES_ALLOWED), lostAtMost: pick(random, [0, 3, SAFE]) },
    };
    return { ...stream, previous };
  });
}

/** What came of a Hello: the Welcome or the Bye, or `null` where the connection just ended. */
export async function sayHello(stage: Stage, hello: Hello): Promise<Message | null> {
  const connection = await connect(stage);
  const channel = new Channel(connection, stage.clock);
  try {
    await channel.send({ type: 'hello', hello });
    return await channel.receive();
  } catch {
    return null;
  } finally {
    connection.destroy();
  }
}

/** More connections than an address may have before it says who it is; none of them says anything. */
export async function floodOfSilence(stage: Stage, server: KernelServer): Promise<void> {
  const silent = await Promise.all(
    Array.from({ length: 2 * GREETINGS_PER_ADDRESS_MAX }, () => connect(stage)),
  );
  const ended = silent.map(async (connection) => {
    const startedMs = stage.clock.monotonicMs();
    try {
      for await (const _ of connection);
    } catch {
      // Broken by the Kernel.
    }
    connection.destroy();
    return stage.clock.monotonicMs() - startedMs;
  });
  const tookMs = await Promise.all(ended);
  const atOnce = tookMs.filter((ms) => ms < HELLO_TIMEOUT_MS / 2).length;
  const late = tookMs.filter((ms) => ms > HELLO_TIMEOUT_MS + 2000).length;
  if (atOnce < GREETINGS_PER_ADDRESS_MAX || late > 0) {
    throw new Error(`of ${silent.length} silent connections ${atOnce} ended at once, ${late} very late`);
  }
  if (server.archiveTrouble !== null) throw new Error('a flood reached the archive');
}

function connect(stage: Stage): Promise<Connection> {
  return stage.network.host('attacker').connect(KERNEL, { timeoutMs: 2000 });
}
