import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentStatus } from '../../agent/agent.ts';
import { loadSite } from '../../config/load.ts';
import type { Site } from '../../config/model.ts';
import { isKomError, KomError } from '../../domain/errors.ts';
import { valueToJson } from '../../domain/sample.ts';
import type { KernelStatus } from '../../kernel/kernel.ts';
import { callControl } from '../../ops/control.ts';
import { Cable } from '../../sim/cable.ts';
import { Plant } from '../../sim/plant.ts';
import type { ServedValue } from '../../sim/record.ts';
import { type Address, formatAddress } from '../../world/transport.ts';
import { type DeviceAddresses, freePort, useLocalDevices } from '../local-site.ts';
import type { RealWorld } from '../world.ts';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const CHECK_MS = 50;

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A present value as the Kernel tells it. */
export interface LiveItem {
  readonly tag: string;
  readonly receivedAtUs: number;
  readonly sourceTimeUs: number;
}

/**
 * Everything that the demo plays with: device simulators in this process, a Kernel and an agent as processes
 * of their own, and a cable between the two. All files are in one temporary directory.
 */
export class Stage {
  readonly world: RealWorld;
  readonly directory: string;
  readonly served: ServedValue[] = [];
  readonly #kernelAddress: Address;
  #site: Site | null = null;
  #plant: Plant | null = null;
  #cable: Cable | null = null;
  #kernel: ChildProcess | null = null;
  #agent: ChildProcess | null = null;

  private constructor(world: RealWorld, kernelAddress: Address) {
    this.world = world;
    this.directory = mkdtempSync(join(tmpdir(), 'kom-demo-'));
    this.#kernelAddress = kernelAddress;
  }

  /** Starts simulators, Kernel, cable and agent; resolves when the agent has its first session. */
  static async set(world: RealWorld): Promise<Stage> {
    const stage = new Stage(world, { host: '127.0.0.1', port: await freePort(world.transport) });
    try {
      stage.#cable = await Cable.lay({ ...world, target: () => stage.#kernelAddress });
      await stage.#writeFiles();
      const { site } = await loadSite(stage.#file('site.json'));
      stage.#site = site;
      const recorder = { served: (value: ServedValue) => stage.served.push(value) };
      stage.#plant = await Plant.start(site, { ...world, seed: 1, recorder });
      await stage.startKernel();
      stage.#agent = stage.#spawn('agent', ['run', stage.#file('site.json')]);
      await stage.#until('the agent to reach the Kernel', async () => {
        const status = await stage.agentStatus();
        return status?.instances.every(({ uplink }) => uplink.kernel !== null) ?? false;
      });
      return stage;
    } catch (error) {
      await stage.strike();
      throw error;
    }
  }

  get site(): Site {
    return present(this.#site);
  }

  get plant(): Plant {
    return present(this.#plant);
  }

  get cable(): Cable {
    return present(this.#cable);
  }

  get kernelSocket(): string {
    return this.#file('kernel.sock');
  }

  get isKernelUp(): boolean {
    return this.#kernel !== null;
  }

  async startKernel(): Promise<void> {
    this.#kernel = this.#spawn('kernel', ['kernel', this.#file('kernel.json')]);
    await this.#until('the Kernel to listen', async () => (await this.kernelStatus()) !== null);
  }

  /** SIGKILL, as a power cut to the process. */
  async killKernel(): Promise<void> {
    const kernel = this.#kernel;
    this.#kernel = null;
    if (kernel !== null) await end(kernel, 'SIGKILL', this.world);
  }

  /** `null` while the agent does not answer. */
  agentStatus(): Promise<AgentStatus | null> {
    const server = this.#site?.servers[0];
    return this.#ask<AgentStatus>(server?.controlSocket ?? '', 'status');
  }

  /** `null` while the Kernel does not answer. */
  kernelStatus(): Promise<KernelStatus | null> {
    return this.#ask<KernelStatus>(this.kernelSocket, 'status');
  }

  /** Present values at the Kernel; empty while it does not answer. */
  async live(): Promise<LiveItem[]> {
    return (await this.#askAll<LiveItem>(this.kernelSocket, 'live')) ?? [];
  }

  /**
   * Stops the agent and then the Kernel as an operator would (SIGTERM), and the simulators; deletes the
   * files.
   */
  async strike(options: { readonly keepFiles?: boolean } = {}): Promise<void> {
    if (this.#agent !== null) await end(this.#agent, 'SIGTERM', this.world);
    if (this.#kernel !== null) await end(this.#kernel, 'SIGTERM', this.world);
    await this.#cable?.close();
    await this.#plant?.[Symbol.asyncDispose]();
    if (options.keepFiles !== true) rmSync(this.directory, { recursive: true, force: true });
    else {
      const lines = this.served.map(
        (value) => `${JSON.stringify({ ...value, value: valueToJson(value.value) })}\n`,
      );
      writeFileSync(this.#file('served.jsonl'), lines.join(''));
    }
  }

  async #writeFiles(): Promise<void> {
    mkdirSync(this.directory, { recursive: true });
    cpSync(join(root, 'examples'), this.directory, { recursive: true });
    cpSync(join(root, 'site.schema.json'), join(this.directory, 'site.schema.json'));
    const example = JSON.parse(readFileSync(this.#file('site.json'), 'utf8')) as ExampleSite;
    example.kernels = [{ address: formatAddress(this.cable.address) }];
    for (const server of Object.values(example.servers)) server.data = join(this.directory, 'agent');
    await useLocalDevices(example, this.world.transport);
    writeFileSync(this.#file('site.json'), JSON.stringify(example, null, 2));
    const kernel = {
      listen: formatAddress(this.#kernelAddress),
      archive: { kind: 'embedded', directory: './archive' },
      controlSocket: './kernel.sock',
    };
    writeFileSync(this.#file('kernel.json'), JSON.stringify(kernel, null, 2));
  }

  #file(name: string): string {
    return join(this.directory, name);
  }

  #spawn(name: string, args: readonly string[]): ChildProcess {
    const log = openSync(this.#file(`${name}.log`), 'a');
    return spawn(process.execPath, [join(root, 'bin', 'kom.cjs'), ...args], { stdio: ['ignore', log, log] });
  }

  async #until(what: string, isDone: () => Promise<boolean>): Promise<void> {
    const { clock } = this.world;
    const endMs = clock.monotonicMs() + START_TIMEOUT_MS;
    while (!(await isDone())) {
      if (clock.monotonicMs() > endMs) {
        throw new KomError('KOM_CONNECTION_TIMEOUT', `waited ${START_TIMEOUT_MS} ms for ${what}`, {
          hint: `see the logs in ${this.directory}`,
        });
      }
      await clock.sleep(CHECK_MS);
    }
  }

  async #ask<T>(path: string, method: string): Promise<T | null> {
    return (await this.#askAll<T>(path, method))?.[0] ?? null;
  }

  async #askAll<T>(path: string, method: string): Promise<T[] | null> {
    try {
      const items: T[] = [];
      for await (const item of callControl({ ...this.world, path, method })) items.push(item as T);
      return items;
    } catch (error) {
      if (isKomError(error)) return null;
      throw error;
    }
  }
}

interface ExampleSite extends DeviceAddresses {
  kernels: { address: string }[];
  servers: Record<string, { data?: string }>;
}

function present<T>(value: T | null): T {
  if (value === null) throw new Error('the stage is not set');
  return value;
}

async function end(child: ChildProcess, signal: NodeJS.Signals, world: RealWorld): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const timer = world.clock.schedule('end a process', STOP_TIMEOUT_MS, () => child.kill('SIGKILL'));
  await ended;
  timer.cancel();
}
