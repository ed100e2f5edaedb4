import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AgentAnswer, KernelAnswer } from './drain/messages.ts';
import { mqttPublish } from './drain/mqtt.ts';
import { rawDrain } from './drain/raw.ts';
import type { Bench, BenchOptions, Figure } from './support/bench.ts';
import { inDirectory, quantile, rounded } from './support/measure.ts';

const SAMPLES = 20_000_000;
const QUICK_SAMPLES = 2_000_000;
/** As many say what a broker takes. */
const MQTT_SAMPLES = 300_000;

export const drainBench: Bench = {
  about:
    'a backlog drains from an agent process to a Kernel process with durable acks; live values meanwhile',
  run: (options) => inDirectory((directory) => measure(directory, options)),
};

async function measure(directory: string, { quick, samples }: BenchOptions): Promise<readonly Figure[]> {
  const count = samples ?? (quick ? QUICK_SAMPLES : SAMPLES);
  await using agent = new Child<AgentAnswer>('drain-agent-child.ts', [directory, String(count)]);
  const filled = await agent.answer('filled');
  const raw = await rawDrain(directory);
  await using kernel = new Child<KernelAnswer>('drain-kernel-child.ts', [`${directory}/archive`]);
  const { port } = await kernel.answer('listening');
  agent.tell(port);
  await agent.answer('connected');
  kernel.tell('start');
  const drained = await agent.answer('drained');
  kernel.tell('report');
  const report = await kernel.answer('report');
  kernel.tell('query');
  const { samples: archived } = await kernel.answer('archived');
  if (archived < filled.samples)
    throw new Error(`only ${archived} of ${filled.samples} samples are archived`);
  agent.tell(0);
  await agent.answer('stopped');
  kernel.tell('stop');
  const { closeMs } = await kernel.answer('stopped');
  const mqtt = await mqttPublish(directory, MQTT_SAMPLES);
  if (mqtt === null) process.stderr.write('mosquitto is not installed: not compared with MQTT\n');
  const perS = drained.samples / drained.seconds;
  const rawPerS = filled.samples / raw.seconds;
  return [
    {
      ...figure('drainSamplesPerS', 'samples/s', `${count} samples with durable acks`, perS),
      floor: { atLeast: 500_000 },
    },
    figure(
      'drainVsRawSocket',
      '×',
      'of raw LevelDB read and raw socket write of the same bytes',
      perS / rawPerS,
    ),
    ...(mqtt === null ? [] : mqttFigures(perS, MQTT_SAMPLES / mqtt.seconds)),
    figure('wireBytesPerS', 'B/s', 'of blocks', (filled.bytes * perS) / filled.samples),
    {
      ...figure(
        'liveAgeP99Ms',
        'ms',
        'age of live values meanwhile, 99 of 100',
        quantile(report.agesMs, 0.99),
      ),
      floor: { atMost: 1000 },
    },
    figure('liveAgeP50Ms', 'ms', 'the same, median', quantile(report.agesMs, 0.5)),
    figure('liveAgeWorstMs', 'ms', 'the same, worst', quantile(report.agesMs, 1)),
    figure(
      'loopDelayP99Ms',
      'ms',
      'event loop of the Kernel late meanwhile, 99 of 100',
      report.loopDelayMs.p99,
    ),
    {
      ...figure('loopDelayWorstMs', 'ms', 'the same, worst', report.loopDelayMs.worst),
      floor: { atMost: 200 },
    },
    figure('cpuMicrosPerSampleAgent', 'µs', 'CPU of the agent', drained.cpuUs / drained.samples),
    figure(
      'cpuMicrosPerSampleKernel',
      'µs',
      'CPU of the Kernel, all threads',
      report.cpuUs / drained.samples,
    ),
    figure('rssAgentMb', 'MB', 'memory of the agent at most, while draining', drained.rssMax / 1e6),
    figure('rssKernelMb', 'MB', 'memory of the Kernel at most', report.rssMax / 1e6),
    figure('closeMs', 'ms', 'the Kernel stops afterwards', closeMs),
  ];
}

function mqttFigures(perS: number, mqttPerS: number): Figure[] {
  return [
    figure('mqttSamplesPerS', 'samples/s', 'as JSON over MQTT, QoS 1, to mosquitto', mqttPerS),
    figure('drainVsMqtt', '×', 'of that', perS / mqttPerS),
  ];
}

function figure(key: string, unit: string, about: string, value: number): Figure {
  return { key, unit, about, value: rounded(value) };
}

/** A process of the bench and what it tells. */
class Child<Answer extends { readonly kind: string }> {
  readonly #process: ChildProcess;
  readonly #answers: Answer[] = [];
  readonly #exited: Promise<never>;
  #heard: () => void = () => {};

  constructor(file: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(`${file}`, import.meta.url));
    this.#process = fork(path, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process.on('message', (answer) => {
      this.#answers.push(answer as Answer);
      this.#heard();
    });
    this.#exited = new Promise((_, reject) => {
      this.#process.once('exit', (code, signal) => reject(new Error(`${file} ended: ${code ?? signal}`)));
    });
    this.#exited.catch(() => undefined);
  }

  tell(what: number | string): void {
    this.#process.send(what);
  }

  async answer<Kind extends Answer['kind']>(kind: Kind): Promise<Extract<Answer, { kind: Kind }>> {
    for (;;) {
      const at = this.#answers.findIndex((each) => each.kind === kind);
      const [found] = at < 0 ? [] : this.#answers.splice(at, 1);
      if (found !== undefined) return found as Extract<Answer, { kind: Kind }>;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#heard = resolve;
      await Promise.race([promise, this.#exited]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited.catch(() => undefined);
  }
}
