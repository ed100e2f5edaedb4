import { contiguousEnd } from '../../src/domain/coverage.ts';
import type { KernelServer } from '../../src/kernel/server.ts';
import { Channel } from '../../src/uplink/channel.ts';
import { decodeMessage } from '../../src/uplink/codec.ts';
import { frame } from '../../src/uplink/frame.ts';
import { COUNTER_JUMP_MAX } from '../../src/uplink/limits.ts';
import type { Hello } from '../../src/uplink/messages.ts';
import type { Connection } from '../../src/world/transport.ts';
import { type Corpus, RECORDED_PROCESS } from './corpus.ts';
import { floodOfSilence, hostileHello, sayHello } from './hellos.ts';
import { mutate, pick } from './mutate.ts';
import { KERNEL, Stage } from './stage.ts';

/** Rounds of damage on one stage. Throws only what is a bug; resolves to the number of rounds. */
export type Campaign = (corpus: Corpus, seed: number) => Promise<number>;

const ROUNDS = 20;
const SETTLE_MS = 20_000;
const TIMERS_LEFT_MAX = 4;

export const CAMPAIGNS: Readonly<Record<string, Campaign>> = {
  kernel: attackKernel,
  agent: attackAgent,
  hello: attackWithHellos,
};

/** Timers that somebody owns: bytes on their way, which heartbeats of one moment are, end by themselves. */
function timersOf({ clock }: Stage): string[] {
  return clock.pendingTimers.filter((name) => name !== 'network arrival');
}

/** A whole Kernel with one honest agent, and another that says damaged things. */
async function attackKernel(corpus: Corpus, seed: number): Promise<number> {
  const stage = new Stage(seed);
  const server = await stage.kernel();
  const honest = await stage.agent('KomA');
  await stage.clock.advance(3000);
  const { opened } = honest;
  const timersBefore = timersOf(stage).length;
  for (let round = 0; round < ROUNDS; round++) {
    const attack = attackOnce(stage, corpus).catch(() => {
      // The Kernel closed the connection while it was written to: that is its right.
    });
    await stage.clock.advance(stage.random.below(3000));
    void attack;
  }
  await stage.clock.advance(SETTLE_MS);
  if (honest.opened !== opened) throw new Error('an honest session was disturbed');
  const timers = timersOf(stage);
  if (timers.length > timersBefore + TIMERS_LEFT_MAX)
    throw new Error(`timers are left: ${timers.join(', ')}`);
  await honest.stop(stage.clock);
  await demandDelivered(stage, honest.store.ring.stream.streamId, honest.store.producedTo);
  await closed(stage, server);
  return ROUNDS;
}

async function attackOnce(stage: Stage, corpus: Corpus): Promise<void> {
  const { random, network, clock } = stage;
  const connect = (): Promise<Connection> => network.host('attacker').connect(KERNEL, { timeoutMs: 2000 });
  const say = async (
    connection: Connection,
    payloads: readonly Uint8Array[],
    count: number,
  ): Promise<void> => {
    for (let left = count; left > 0; left--) {
      const damaged = mutate(pick(random, payloads), random, pick(random, corpus.all));
      await connection.send(random.below(10) === 0 ? damaged : frame(damaged));
    }
  };
  const control = await connect();
  if (random.below(4) === 0) await say(control, corpus.all, 1 + random.below(5));
  else {
    const channel = new Channel(control, clock);
    await channel.send({ type: 'hello', hello: { ...helloOf(corpus), wallUs: clock.wallUs() } });
    const welcome = await channel.receive();
    if (welcome?.type === 'welcome' && random.below(4) > 0) {
      const { sessionId } = welcome.welcome;
      const data = await connect();
      const dataChannel = new Channel(data, clock);
      const hello: Hello = { ...helloOf(corpus), lane: 'data', sessionId, streams: [] };
      await dataChannel.send({ type: 'hello', hello });
      await dataChannel.receive();
      await say(data, corpus.agentData, 1 + random.below(30));
      if (random.below(2) === 0) data.destroy();
      else data.close();
      void drained(data);
    }
    await say(control, corpus.agentControl, random.below(10));
  }
  const end = random.below(3);
  if (end === 0) control.destroy();
  if (end === 1) control.close();
}

/** A whole Kernel with one honest agent, and others whose Hellos are well formed and hostile. */
async function attackWithHellos(_corpus: Corpus, seed: number): Promise<number> {
  const stage = new Stage(seed);
  const server = await stage.kernel();
  const honest = await stage.agent('KomA');
  await stage.clock.advance(3000);
  const { opened } = honest;
  const timersBefore = timersOf(stage).length;
  for (let round = 0; round < ROUNDS; round++) {
    const said = sayHello(stage, hostileHello(stage.random));
    if (stage.random.below(2) === 0) await stage.clock.advance(stage.random.below(3000));
    await stage.clock.runUntil(said, SETTLE_MS);
  }
  await stage.clock.runUntil(floodOfSilence(stage, server), SETTLE_MS);
  await stage.clock.advance(SETTLE_MS);
  if (honest.opened !== opened) throw new Error('an honest session was disturbed');
  const timers = timersOf(stage);
  if (timers.length > timersBefore + TIMERS_LEFT_MAX)
    throw new Error(`timers are left: ${timers.join(', ')}`);
  const epoch = await stage.archive.kernelEpoch();
  if (epoch > COUNTER_JUMP_MAX) throw new Error(`the epoch was taken to ${epoch}`);
  await honest.stop(stage.clock);
  await demandDelivered(stage, honest.store.ring.stream.streamId, honest.store.producedTo);
  await closed(stage, server);
  return ROUNDS;
}

/** A whole agent whose Kernel says damaged things, until it is an honest one again. */
async function attackAgent(corpus: Corpus, seed: number): Promise<number> {
  const stage = new Stage(seed);
  const { random, clock } = stage;
  let isHonest = false;
  let rounds = 0;
  const liar = async (connection: Connection): Promise<void> => {
    rounds += 1;
    void drained(connection);
    const lane = rounds % 2 === 1 ? corpus.kernelControl : corpus.kernelData;
    const first = lane[0] ?? new Uint8Array();
    await connection.send(
      frame(random.below(6) === 0 ? mutate(first, random, pick(random, corpus.all)) : first),
    );
    for (let left = random.below(20); left > 0; left--) {
      await clock.sleep(random.below(300));
      const damaged = mutate(pick(random, lane), random, pick(random, corpus.all));
      await connection.send(random.below(10) === 0 ? damaged : frame(damaged));
    }
    if (random.below(2) === 0) connection.destroy();
  };
  const server = await honestLater(stage, () => isHonest, liar);
  const agent = await stage.agent('KomA');
  while (rounds < ROUNDS) await clock.advance(1000);
  isHonest = true;
  await clock.advance(SETTLE_MS);
  await agent.stop(clock);
  await demandDelivered(stage, agent.store.ring.stream.streamId, agent.store.producedTo);
  await closed(stage, server);
  return rounds;
}

async function honestLater(
  stage: Stage,
  isHonest: () => boolean,
  liar: (connection: Connection) => Promise<void>,
): Promise<KernelServer> {
  const { KernelServer } = await import('../../src/kernel/server.ts');
  const { archive, clock, random, log } = stage;
  const server = new KernelServer({ archive, programVersion: 'fuzz', clock, random, log });
  await stage.network.host(KERNEL.host).listen(KERNEL, (connection) => {
    if (isHonest()) server.accept(connection);
    else liar(connection).catch(() => connection.destroy());
  });
  return server;
}

/** Everything up to here is archived, as data or as a declared gap. */
async function demandDelivered(stage: Stage, streamId: string, producedTo: number): Promise<void> {
  const coverage = await stage.archive.coverage(streamId);
  // An Ack that lied made the agent forget what nobody has: the end of the stream may be before it.
  const through = contiguousEnd(coverage);
  if (through < producedTo - 8)
    throw new Error(`archived is ${through} of ${producedTo}: ${JSON.stringify(coverage)}`);
}

async function closed(stage: Stage, server: KernelServer): Promise<void> {
  await stage.clock.runUntil(server.close());
  await stage.clock.advance(1000);
  if (stage.bugs.length > 0) throw new Error(stage.bugs.join('\n'));
}

function helloOf(corpus: Corpus): Hello {
  const message = decodeMessage(corpus.agentControl[0] ?? new Uint8Array());
  if (message.type !== 'hello' || message.hello.process !== RECORDED_PROCESS)
    throw new Error('no Hello was recorded');
  return message.hello;
}

async function drained(connection: Connection): Promise<void> {
  try {
    for await (const _ of connection);
  } catch {
    // Broken by the other side.
  }
}
