import { join } from 'node:path';
import type { Line, Process, Server, Site } from '../config/model.ts';
import { createDriver } from '../drivers/create.ts';
import { type ControlHandler, serveControl } from '../ops/control.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import type { Listener, Transport } from '../world/transport.ts';
import { Instance, type InstanceOptions, type InstanceStatus } from './instance.ts';

export interface AgentOptions {
  readonly site: Site;
  readonly server: Server;
  /** The processes to run: all of the server, or one of them. */
  readonly processes: readonly Process[];
  /** Opens the place of an instance's ring. */
  readonly openDisk: (directory: string) => Promise<Disk>;
  /** Something is there already. */
  readonly exists: (directory: string) => boolean;
  /** Opens each ring; the real one if not given. */
  readonly openRing?: NonNullable<InstanceOptions['openRing']>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bootId: string;
  readonly programVersion: string;
}

export interface AgentStatus {
  readonly site: string;
  readonly server: string;
  readonly version: string;
  readonly instances: readonly InstanceStatus[];
}

/** All instances of one comm server in one operating-system process, with one control socket. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #instances: Instance[] = [];
  #control: Listener | null = null;

  private constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** @throws KomError KOM_ALREADY_RUNNING, KOM_STORE_LOCKED when another process does this job */
  static async start(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    const { transport, clock, log, server } = options;
    agent.#control = await serveControl({
      transport,
      path: server.controlSocket,
      handlers: agent.#handlers(),
      clock,
      log,
    });
    try {
      for (const process of options.processes) agent.#instances.push(await agent.#startInstance(process));
    } catch (error) {
      await agent.stop();
      throw error;
    }
    return agent;
  }

  get status(): AgentStatus {
    const { site, server, programVersion } = this.#options;
    return {
      site: site.name,
      server: server.name,
      version: programVersion,
      instances: this.#instances.map((instance) => instance.status),
    };
  }

  /** Clean stop of every instance. */
  async stop(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => instance.stop()));
    await this.#control?.close();
  }

  async #startInstance(process: Process): Promise<Instance> {
    const { server, openDisk, exists, clock, log } = this.#options;
    const processLog = log.child({ process: process.name, instance: server.instance });
    const directory = join(server.dataDirectory, process.name);
    const alarmDirectory = `${directory}.alarm`;
    const hasAlarms = process.buffer.alarmShare > 0 || exists(alarmDirectory);
    return await Instance.start({
      ...this.#options,
      process,
      disk: await openDisk(directory),
      alarmDisk: hasAlarms ? await openDisk(alarmDirectory) : null,
      log: processLog,
      createDriver: (line: Line) => createDriver(line, { clock, log: processLog }),
    });
  }

  #handlers(): Readonly<Record<string, ControlHandler>> {
    const status = (): AgentStatus => this.status;
    return {
      status: async function* () {
        yield status();
      },
    };
  }
}
