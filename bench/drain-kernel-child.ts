/** A Kernel with its archive: `node kernel-child.ts <directory>`; answers the parent's messages. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openDuckdbArchive } from '../src/kernel/archive/duckdb-archive.ts';
import { KernelServer } from '../src/kernel/server.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { createRandom } from '../src/world/real/random.ts';
import { createTcpTransport } from '../src/world/real/tcp-transport.ts';
import { FAST_TAG, type KernelAnswer } from './drain/messages.ts';

const AGE_EVERY_MS = 50;
/** So long after connecting an operator has to see the present. */
const SETTLED_MS = 1000;

const [directory = ''] = process.argv.slice(2);
const clock = createClock();
const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 512e6, log: silentLog });
const world = { clock, random: createRandom(), log: silentLog, programVersion: 'bench' };
const transport = createTcpTransport();
const server = new KernelServer({ ...world, archive });
const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
  server.accept(connection),
);

const loop = monitorEventLoopDelay({ resolution: 1 });
let agesMs: number[] = [];
let startMs = Number.POSITIVE_INFINITY;
let cpuAtStart = process.cpuUsage();
let rssMax = 0;
const timer = setInterval(() => {
  rssMax = Math.max(rssMax, process.memoryUsage.rss());
  const values = server.presence.of('Bench', 'KomA').values();
  const value = values.find(({ tag }) => tag === FAST_TAG);
  const isSettled = performance.now() - startMs > SETTLED_MS;
  if (value !== undefined && isSettled) agesMs.push((clock.wallUs() - value.sourceTimeUs) / 1000);
}, AGE_EVERY_MS);

process.on('message', async (what: 'start' | 'report' | 'query' | 'stop') => {
  if (what === 'start') {
    agesMs = [];
    loop.enable();
    startMs = performance.now();
    cpuAtStart = process.cpuUsage();
  }
  if (what === 'report') {
    const { user, system } = process.cpuUsage(cpuAtStart);
    loop.disable();
    const loopDelayMs = { p99: loop.percentile(99) / 1e6, worst: loop.max / 1e6 };
    send({ kind: 'report', agesMs, loopDelayMs, cpuUs: user + system, rssMax });
  }
  if (what === 'query') {
    const { samples } = await archive.stat();
    send({ kind: 'archived', samples });
  }
  if (what === 'stop') {
    clearInterval(timer);
    const stopMs = performance.now();
    await listener.close();
    await server.close();
    await archive.close();
    send({ kind: 'stopped', closeMs: performance.now() - stopMs });
    process.disconnect();
  }
});
send({ kind: 'listening', port: listener.address.port });

function send(answer: KernelAnswer): void {
  process.send?.(answer);
}
