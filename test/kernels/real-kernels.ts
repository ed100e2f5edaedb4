import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceStatus } from '../../src/agent/instance.ts';
import { proveSite } from '../../src/cli/demo/prove.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadSite } from '../../src/config/load.ts';
import type { Site } from '../../src/config/model.ts';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { remoteQueries } from '../../src/kernel/queries.ts';
import { callControl } from '../../src/ops/control.ts';
import { Plant } from '../../src/sim/plant.ts';
import type { Proof } from '../../src/sim/proof.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { formatAddress } from '../../src/world/transport.ts';
import { type Finished, Kom, kom } from '../integration/support/kom.ts';
import { writeSiteFile } from '../integration/support/site.ts';
import { freePort, sleep, until } from '../integration/support/until.ts';

/** Blocks are sealed at 250 ms, committed at the hot Kernel, given, and committed once more. */
const SETTLE_MS = 3000;
const START_MAX_MS = 30_000;

export type KernelName = 'KernelA' | 'KernelB';
const NAMES = ['KernelA', 'KernelB'] as const;

export interface RealOptions {
  readonly withTls?: boolean;
}

/** Two Kernels and a comm server, each a process of its own, and a plant in this one. */
export class RealKernels implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kom-kernels-'));
  readonly world = realWorld({ level: 'silent', name: 'test' });
  readonly served: ServedValue[] = [];
  readonly #options: RealOptions;
  readonly #kernels = new Map<KernelName, Kom>();
  readonly #ports = new Map<KernelName, number>();
  site!: Site;
  #plant: Plant | null = null;
  #agent: Kom | null = null;

  static async start(options: RealOptions = {}): Promise<RealKernels> {
    const kernels = new RealKernels(options);
    try {
      await kernels.#start();
      return kernels;
    } catch (error) {
      await kernels[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: RealOptions) {
    this.#options = options;
  }

  async #start(): Promise<void> {
    for (const name of NAMES) this.#ports.set(name, await freePort());
    for (const name of NAMES) this.writeKernelFile(name);
    const file = writeSiteFile(this.directory, {
      store: 'always',
      kernels: NAMES.map((name) => ({ host: '127.0.0.1', port: this.#port(name) })),
      modbusPort: await freePort(),
    });
    if (this.#options.withTls === true) await this.#issue(file);
    const { site } = await loadSite(file);
    this.site = site;
    const recorder = { served: (value: ServedValue) => void this.served.push(value) };
    this.#plant = await Plant.start(site, { ...this.world, seed: 7, recorder });
    await Promise.all(NAMES.map((name) => this.startKernel(name)));
    this.#agent = new Kom(['run', join(this.directory, 'site.json')]);
    await this.#agent.untilLog('running', START_MAX_MS);
    await this.untilInSync('KernelA');
    await this.untilAt('KernelA');
  }

  async startKernel(name: KernelName): Promise<void> {
    const kernel = new Kom(['kernel', this.#file(name)]);
    this.#kernels.set(name, kernel);
    await kernel.untilLog('Kernel listens', START_MAX_MS);
  }

  async kill(name: KernelName, signal: NodeJS.Signals = 'SIGKILL'): Promise<Finished | undefined> {
    const finished = await this.#kernels.get(name)?.kill(signal);
    this.#kernels.delete(name);
    return finished;
  }

  address(name: KernelName): string {
    return formatAddress({ host: '127.0.0.1', port: this.#port(name) });
  }

  /** It shows the certificate of another machine. */
  certifyAs(name: KernelName, machine: string): void {
    cpSync(join(this.directory, 'pki', machine), join(this.directory, name, 'tls/kernel'), {
      recursive: true,
    });
  }

  /** As a machine with an empty disk takes the place of one that was killed. */
  emptyDisk(name: KernelName): void {
    for (const part of ['archive', 'ring']) {
      rmSync(join(this.directory, name, part), { recursive: true, force: true });
    }
  }

  /** `kom kernel reload` at one of them. */
  reload(at: KernelName): Promise<Finished> {
    return kom(['kernel', 'reload', this.#file(at)]);
  }

  /** `kom kernel switch` at one of them. */
  switch(at: KernelName, to: KernelName, ...options: readonly string[]): Promise<Finished> {
    return kom(['kernel', 'switch', this.#file(at), '--to', to, ...options]);
  }

  async kernelStatus(name: KernelName): Promise<KernelStatus> {
    const path = this.#socket(name);
    for await (const item of callControl({ ...this.world, path, method: 'status' }))
      return item as KernelStatus;
    throw new Error('no status');
  }

  /** Both are in the set, as this one knows it. */
  async untilInSync(at: KernelName): Promise<void> {
    const isInSync = async () => (await this.kernelStatus(at)).group?.inSync.length === NAMES.length;
    await until('both in the set', isInSync, START_MAX_MS);
  }

  /** The agent has a session with this one. Returns how long that took, milliseconds. */
  async untilAt(name: KernelName): Promise<number> {
    const startedMs = performance.now();
    const address = `127.0.0.1:${this.#port(name)}`;
    const isThere = async () => (await this.#agentStatus()).uplink.kernel === address;
    await until(`a session with ${name}`, isThere, START_MAX_MS);
    return performance.now() - startedMs;
  }

  /** Lets what was served until now arrive, and proves it on the archive of each of them. */
  async prove(): Promise<Record<KernelName, Proof>> {
    const untilUs = this.world.clock.wallUs();
    await sleep(SETTLE_MS);
    const prove = async (name: KernelName): Promise<Proof> => {
      const path = this.#socket(name);
      const queries = remoteQueries((method, params) => callControl({ ...this.world, path, method, params }));
      const nowUs = this.world.clock.wallUs();
      return await proveSite({
        site: this.site,
        served: this.served,
        queries,
        untilUs,
        nowUs,
        lateMaxMs: 1000,
      });
    };
    return { KernelA: await prove('KernelA'), KernelB: await prove('KernelB') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
    for (const kernel of this.#kernels.values()) await kernel[Symbol.asyncDispose]();
    await this.#plant?.[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #agentStatus(): Promise<InstanceStatus> {
    const path = this.site.servers[0]?.controlSocket ?? '';
    for await (const item of callControl({ ...this.world, path, method: 'status' })) {
      const [instance] = (item as { instances: InstanceStatus[] }).instances;
      if (instance !== undefined) return instance;
    }
    throw new Error('no instance');
  }

  /** `kom pki init`, and its files where the program looks for them. */
  async #issue(file: string): Promise<void> {
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), tls: {} }));
    const named = NAMES.flatMap((name) => ['--kernel', `${name}=127.0.0.1`]);
    const { code, stderr } = await kom(['pki', 'init', file, ...named]);
    if (code !== 0) throw new Error(stderr);
    const copy = (from: string, to: string) =>
      cpSync(join(this.directory, 'pki', from), join(this.directory, to), { recursive: true });
    copy('ServerKom1', 'tls/ServerKom1');
    for (const name of NAMES) copy(`kernel.${name}`, `${name}/tls/kernel`);
  }

  /** `others`: as its file names them; the other one if not given. */
  writeKernelFile(name: KernelName, others?: readonly { name: string; addresses: string[] }[]): void {
    const other = NAMES.find((each) => each !== name) ?? name;
    mkdirSync(join(this.directory, name), { recursive: true });
    const config = {
      listen: this.address(name),
      ...(this.#options.withTls === true ? { tls: {} } : {}),
      archive: { directory: './archive', memoryLimit: '128MB' },
      redundancy: {
        ...{ name, firstRole: name === 'KernelA' ? 'hot' : 'standby' },
        kernels: others ?? [{ name: other, addresses: [this.address(other)] }],
        ring: { directory: './ring', capacity: '200MB' },
      },
      controlSocket: './kernel.sock',
    };
    writeFileSync(this.#file(name), JSON.stringify(config));
  }

  #file(name: KernelName): string {
    return join(this.directory, name, 'kernel.json');
  }

  #socket(name: KernelName): string {
    return join(this.directory, name, 'kernel.sock');
  }

  #port(name: KernelName): number {
    return this.#ports.get(name) ?? 0;
  }
}
