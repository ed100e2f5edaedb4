import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, type AgentOptions } from '../../../src/agent/agent.ts';
import type { InstanceStatus } from '../../../src/agent/instance.ts';
import { proveSite } from '../../../src/cli/demo/prove.ts';
import { realWorld } from '../../../src/cli/world.ts';
import { loadKernelConfig, loadSite } from '../../../src/config/load.ts';
import type { Site, StorePolicy } from '../../../src/config/model.ts';
import type { ClockMode } from '../../../src/domain/clock-discipline.ts';
import { openArchive } from '../../../src/kernel/archive/open.ts';
import type { ArchiveQueries, QueryLine } from '../../../src/kernel/archive/query.ts';
import { Kernel } from '../../../src/kernel/kernel.ts';
import { queryHandlers, remoteQueries } from '../../../src/kernel/queries.ts';
import { callControl } from '../../../src/ops/control.ts';
import { Cable } from '../../../src/sim/cable.ts';
import { Plant } from '../../../src/sim/plant.ts';
import type { Proof } from '../../../src/sim/proof.ts';
import type { ServedValue } from '../../../src/sim/record.ts';
import type { Archive } from '../../../src/world/archive.ts';
import type { Clock } from '../../../src/world/clock.ts';
import { openLevelDisk } from '../../../src/world/real/level-disk.ts';
import type { Address } from '../../../src/world/transport.ts';
import { Kom } from './kom.ts';
import { keptLog } from './log.ts';
import { writeKernelFile, writeSiteFile } from './site.ts';
import { freePort, sleep, until } from './until.ts';

/** Blocks are sealed at 250 ms and committed within 100 ms more; on a busy machine it takes longer. */
const SETTLE_MS = 700;

export interface SetupOptions {
  readonly store?: StorePolicy;
  readonly opcua?: boolean;
  /** What stands between the Kernel and its archive; of a Kernel in this process. */
  readonly wrapArchive?: (archive: Archive) => Archive;
  /** What stands in place of the ring; of an agent in this process. */
  readonly openRing?: NonNullable<AgentOptions['openRing']>;
  /** Clocks of the machine of an agent in this process. */
  readonly agentClock?: Clock;
  readonly clock?: ClockMode;
  /** `archive` of the Kernel file, in place of the embedded one. */
  readonly archive?: unknown;
  /** Other Kernels of the site file, before the one of the cable. */
  readonly kernels?: readonly Address[];
}

/** A present value at the Kernel. */
export interface LiveItem {
  readonly tag: string;
  readonly value: unknown;
  readonly quality: number;
  readonly sourceTimeUs: number;
  readonly receivedAtUs: number;
}

/**
 * Simulators, a cable, and in this process or in processes of their own an agent and a Kernel, on real
 * sockets and real files in a temporary directory. Nothing is started but the cable.
 */
export class Setup implements AsyncDisposable {
  readonly directory: string;
  readonly served: ServedValue[] = [];
  readonly site: Site;
  readonly cable: Cable;
  readonly kernelAddress: Address;
  readonly agentLog = keptLog('kom');
  readonly kernelLog = keptLog('kom-kernel');
  readonly world = realWorld({ level: 'silent', name: 'test' });
  readonly #options: SetupOptions;
  readonly #processes: Kom[] = [];
  #plant: Plant | null = null;
  #agent: Agent | null = null;
  #kernel: Kernel | null = null;

  private constructor(
    options: SetupOptions,
    parts: { directory: string; site: Site; cable: Cable; kernelAddress: Address },
  ) {
    this.#options = options;
    this.directory = parts.directory;
    this.site = parts.site;
    this.cable = parts.cable;
    this.kernelAddress = parts.kernelAddress;
  }

  static async make(options: SetupOptions = {}): Promise<Setup> {
    const directory = mkdtempSync(join(tmpdir(), 'kom-test-'));
    const world = realWorld({ level: 'silent', name: 'test' });
    const kernelAddress = { host: '127.0.0.1', port: await freePort() };
    const cable = await Cable.lay({ ...world, target: () => kernelAddress });
    const modbusPort = await freePort();
    const opcuaPort = options.opcua === true ? await freePort() : undefined;
    const kernels = [...(options.kernels ?? []), cable.address];
    const { store = 'on-outage', clock = 'system' } = options;
    const { site } = await loadSite(
      writeSiteFile(directory, { store, clock, kernels, modbusPort, opcuaPort }),
    );
    writeKernelFile(directory, kernelAddress, options.archive);
    return new Setup(options, { directory, site, cable, kernelAddress });
  }

  /** Everything, in this process. */
  static async start(options: SetupOptions = {}): Promise<Setup> {
    const setup = await Setup.make(options);
    try {
      await setup.startPlant();
      await setup.startKernel();
      await setup.startAgent();
      await setup.untilOnline();
      return setup;
    } catch (error) {
      await setup[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  async startPlant(): Promise<void> {
    const recorder = { served: (value: ServedValue) => void this.served.push(value) };
    this.#plant = await Plant.start(this.site, { ...this.world, seed: 7, recorder });
  }

  get plant(): Plant {
    if (this.#plant === null) throw new Error('no plant');
    return this.#plant;
  }

  async startKernel(): Promise<void> {
    const { config } = await loadKernelConfig(this.file('kernel.json'));
    const { log } = this.kernelLog;
    const wrap = this.#options.wrapArchive ?? ((archive: Archive) => archive);
    this.#kernel = await Kernel.start({
      ...this.world,
      log,
      config,
      openArchive: async () => wrap(await openArchive(config.archive, { clock: this.world.clock, log })),
      handlers: (archive, server) => queryHandlers(archive, server, this.world.clock),
    });
  }

  async stopKernel(): Promise<void> {
    await this.#kernel?.stop();
    this.#kernel = null;
  }

  async startAgent(): Promise<void> {
    const { openRing, agentClock: clock = this.world.clock } = this.#options;
    const server = this.site.servers[0];
    if (server === undefined) throw new Error('no server');
    this.#agent = await Agent.start({
      ...this.world,
      clock,
      log: this.agentLog.log,
      site: this.site,
      server,
      processes: this.site.processes,
      openDisk: openLevelDisk,
      exists: existsSync,
      ...(openRing === undefined ? {} : { openRing }),
    });
  }

  async stopAgent(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = null;
  }

  /** `kom run` of the site file. */
  async spawnAgent(env: Readonly<Record<string, string>> = {}): Promise<Kom> {
    const agent = this.#spawn(['run', this.file('site.json')], env);
    await agent.untilLog('running');
    return agent;
  }

  /** `kom kernel` of the Kernel file. */
  async spawnKernel(startMaxMs?: number, env: Readonly<Record<string, string>> = {}): Promise<Kom> {
    const kernel = this.#spawn(['kernel', this.file('kernel.json')], env);
    await kernel.untilLog('Kernel listens', startMaxMs);
    return kernel;
  }

  /** Status of the only instance, in whatever process it runs. */
  async status(): Promise<InstanceStatus> {
    const path = this.site.servers[0]?.controlSocket ?? '';
    for await (const item of callControl({ ...this.world, path, method: 'status' })) {
      const [instance] = (item as { instances: InstanceStatus[] }).instances;
      if (instance !== undefined) return instance;
    }
    throw new Error('no instance');
  }

  async untilOnline(): Promise<void> {
    await this.untilStatus('the agent to be online', ({ backlog }) => backlog.state === 'online');
  }

  async untilStatus(what: string, holds: (status: InstanceStatus) => boolean): Promise<void> {
    await until(what, async () => holds(await this.status()));
  }

  /** Present values at the Kernel, by tag. */
  async live(): Promise<Map<string, LiveItem>> {
    const path = this.file('kernel.sock');
    const items = new Map<string, LiveItem>();
    for await (const item of callControl({ ...this.world, path, method: 'live' })) {
      const value = item as LiveItem;
      items.set(value.tag, value);
    }
    return items;
  }

  get queries(): ArchiveQueries {
    const path = this.file('kernel.sock');
    return remoteQueries((method, params) => callControl({ ...this.world, path, method, params }));
  }

  /** The history of a tag, as the running Kernel tells it over its control socket. */
  async history(tag: string, fromUs: number, toUs = this.world.clock.wallUs()): Promise<QueryLine[]> {
    return await Array.fromAsync(this.queries.query({ tag, fromUs, toUs }));
  }

  /** Lets what was served until now arrive, and proves it. */
  async prove(): Promise<Proof> {
    const { clock } = this.world;
    const untilUs = clock.wallUs();
    await sleep(SETTLE_MS);
    const { site, served, queries } = this;
    return await proveSite({ site, served, queries, untilUs, nowUs: clock.wallUs(), lateMaxMs: 1000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAgent();
    for (const process of this.#processes.reverse()) await process[Symbol.asyncDispose]();
    await this.stopKernel();
    await this.cable.close();
    await this.#plant?.[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): Kom {
    const process = new Kom(args, { env });
    this.#processes.push(process);
    return process;
  }
}

/** What a test expects of a proof; the findings make a failure readable. */
export const GREEN = {
  ok: true,
  lost: 0,
  duplicates: 0,
  outOfOrder: 0,
  undeclaredGaps: 0,
  foreign: 0,
  findings: [],
};
