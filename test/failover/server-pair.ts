import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceStatus } from '../../src/agent/instance.ts';
import type { MembershipStatus } from '../../src/agent/membership.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadSite } from '../../src/config/load.ts';
import type { Site } from '../../src/config/model.ts';
import type { ArchiveQueries } from '../../src/kernel/archive/query.ts';
import { remoteQueries } from '../../src/kernel/queries.ts';
import { callControl } from '../../src/ops/control.ts';
import { Plant } from '../../src/sim/plant.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import type { Address } from '../../src/world/transport.ts';
import { type Finished, Kom, kom } from '../integration/support/kom.ts';
import { writeKernelFile } from '../integration/support/site.ts';
import { freePort, until } from '../integration/support/until.ts';
import { type Disguise, LooseCable } from './loose-cable.ts';
import { LOCAL, type PairSiteOptions, type StandbyMode, writePairSite } from './pair-site.ts';

/** So that the same values come in every run. */
export const SEED = 7;

export type InstanceNumber = 1 | 2;

export interface PairOptions {
  /** Of the line of Modbus. */
  readonly standby: StandbyMode;
  /** There is a line of OPC UA too, with a warm standby. */
  readonly withOpcua?: boolean;
  /**
   * Cables that can be pulled lie between the instances, and before the Kernel. A cable takes connections for
   * a dead process too, so the evidence of death is there only without it.
   */
  readonly withCables?: boolean;
  readonly profile?: PairSiteOptions['profile'];
  /** What runs through the cable before the Kernel, and through those between the instances. */
  readonly disguises?: { readonly uplink: Disguise; readonly peerLink: Disguise };
}

/**
 * Two comm servers, a Kernel and a plant: processes of their own on addresses of the loopback, but for the
 * plant, whose record is here. Nothing is started but the plant.
 */
export class ServerPair implements AsyncDisposable {
  readonly directory: string;
  readonly site: Site;
  /** The plant's own record. */
  readonly served: readonly ServedValue[];
  readonly world = realWorld({ level: 'silent', name: 'test' });
  readonly peerCables: readonly LooseCable[];
  /** `null` without cables. */
  readonly kernelCable: LooseCable | null;
  readonly #plant: Plant;
  readonly #servers = new Map<InstanceNumber, Kom>();
  #kernel: Kom | null = null;

  private constructor(
    parts: Pick<ServerPair, 'directory' | 'site' | 'served' | 'peerCables' | 'kernelCable'>,
    plant: Plant,
  ) {
    this.directory = parts.directory;
    this.site = parts.site;
    this.served = parts.served;
    this.peerCables = parts.peerCables;
    this.kernelCable = parts.kernelCable;
    this.#plant = plant;
  }

  static async make(options: PairOptions): Promise<ServerPair> {
    const { standby, withOpcua = false, withCables = false, disguises } = options;
    const directory = mkdtempSync(join(tmpdir(), 'kom-pair-'));
    const kernel = { host: '127.0.0.21', port: await freePort() };
    const listen = { 1: await addressOf(1), 2: await addressOf(2) };
    const cables = withCables
      ? await Promise.all([
          LooseCable.lay(kernel, disguises?.uplink),
          ...[listen[1], listen[2]].map((target) => LooseCable.lay(target, disguises?.peerLink)),
        ])
      : [];
    const [kernelCable = null, ...peerCables] = cables;
    const peers = {
      1: { listen: listen[1], address: peerCables[0]?.address ?? listen[1] },
      2: { listen: listen[2], address: peerCables[1]?.address ?? listen[2] },
    };
    const file = writePairSite(directory, {
      ...{ kernel: kernelCable?.address ?? kernel, peers, standby },
      modbus: { host: '127.0.0.1', port: await freePort() },
      opcuaPort: withOpcua ? await freePort() : null,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
    });
    writeKernelFile(directory, kernel);
    const { site } = await loadSite(file);
    const served: ServedValue[] = [];
    const world = realWorld({ level: 'silent', name: 'test' });
    const recorder = { served: (value: ServedValue) => void served.push(value) };
    const plant = await Plant.start(site, { ...world, seed: SEED, recorder });
    return new ServerPair({ directory, site, served, peerCables, kernelCable }, plant);
  }

  /** With the first instance active, the second standing by, and if wanted a Kernel. */
  static async started(options: PairOptions & { readonly kernel?: boolean }): Promise<ServerPair> {
    const pair = await ServerPair.make(options);
    try {
      if (options.kernel !== false) await pair.startKernel();
      await pair.startServer(1);
      await pair.untilRole(1, 'active');
      await pair.startServer(2);
      await pair.untilReady(2);
      return pair;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  async startKernel(): Promise<Kom> {
    this.#kernel = new Kom(['kernel', this.file('kernel.json')]);
    await this.#kernel.untilLog('Kernel listens');
    return this.#kernel;
  }

  get kernel(): Kom {
    if (this.#kernel === null) throw new Error('no Kernel');
    return this.#kernel;
  }

  async startServer(
    instance: InstanceNumber,
    env: Readonly<Record<string, string>> = {},
    options: readonly string[] = [],
  ): Promise<Kom> {
    const args = ['run', this.file('site.json'), '--server', `ServerKom${instance}`, ...options];
    const server = new Kom(args, { env });
    this.#servers.set(instance, server);
    await server.untilLog('running');
    return server;
  }

  server(instance: InstanceNumber): Kom {
    const server = this.#servers.get(instance);
    if (server === undefined) throw new Error(`instance ${instance} was not started`);
    return server;
  }

  async status(instance: InstanceNumber): Promise<InstanceStatus> {
    const path = this.file(`agent${instance}.sock`);
    for await (const item of callControl({ ...this.world, path, method: 'status' })) {
      const [status] = (item as { instances: InstanceStatus[] }).instances;
      if (status !== undefined) return status;
    }
    throw new Error('no instance');
  }

  async member(instance: InstanceNumber): Promise<MembershipStatus> {
    const { member } = await this.status(instance);
    if (member === null) throw new Error('a process of two servers has members');
    return member;
  }

  async untilRole(
    instance: InstanceNumber,
    role: MembershipStatus['role'],
    timeoutMs = 15_000,
  ): Promise<void> {
    const holds = async () => (await this.member(instance)).role === role;
    await until(`instance ${instance} to be ${role}`, holds, timeoutMs);
  }

  /** It stands by, hears its peer, and the Kernel if there is one, and polls if it is to. */
  async untilReady(instance: InstanceNumber): Promise<void> {
    const isCold = (this.site.processes[0]?.lines ?? []).every(({ failover }) => failover.standby === 'cold');
    await until(`instance ${instance} to stand by`, async () => {
      const { member, lines } = await this.status(instance);
      const hears = member?.peer?.state === 'there' && (this.#kernel === null || member.kernelAnswers);
      return member?.role === 'standby' && hears && (isCold || lines.every((line) => line.isConnected));
    });
  }

  /** When it became active after a moment, by its own record; integer µs. */
  async untilActive(instance: InstanceNumber, afterUs: number, timeoutMs = 15_000): Promise<number> {
    let atUs = 0;
    await until(
      `instance ${instance} to become active`,
      async () => {
        const { changes } = await this.member(instance);
        atUs = changes.find((change) => change.phase === 'active' && change.atUs > afterUs)?.atUs ?? 0;
        return atUs > 0;
      },
      timeoutMs,
    );
    return atUs;
  }

  /** `kom switch KomA …`, with the control socket of an agent, or of the Kernel. */
  async switch(from: InstanceNumber | 'kernel', ...args: readonly string[]): Promise<Finished> {
    const way =
      from === 'kernel'
        ? ['--kernel', this.file('kernel.sock')]
        : ['--config', this.file('site.json'), '--server', `ServerKom${from}`];
    return await kom(['switch', 'KomA', ...args, ...way]);
  }

  get queries(): ArchiveQueries {
    const path = this.file('kernel.sock');
    return remoteQueries((method, params) => callControl({ ...this.world, path, method, params }));
  }

  get nowUs(): number {
    return this.world.clock.wallUs();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const processes = [...this.#servers.values(), ...(this.#kernel === null ? [] : [this.#kernel])];
    for (const process of processes) await process[Symbol.asyncDispose]();
    for (const cable of this.peerCables) await cable[Symbol.asyncDispose]();
    await this.kernelCable?.[Symbol.asyncDispose]();
    await this.#plant[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function addressOf(instance: InstanceNumber): Promise<Address> {
  return { host: LOCAL[instance], port: await freePort() };
}
