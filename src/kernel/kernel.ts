import type { KernelConfig } from '../config/model.ts';
import { describeError } from '../domain/errors.ts';
import { valueToJson } from '../domain/sample.ts';
import { type ControlHandler, serveControl } from '../ops/control.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { type Address, formatAddress, type Listener, type Transport } from '../world/transport.ts';
import { KernelServer } from './server.ts';

export interface KernelOptions {
  readonly config: KernelConfig;
  readonly openArchive: () => Promise<Archive>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly programVersion: string;
  /** Further methods of the control socket, made over the open archive. */
  readonly handlers: (archive: Archive, server: KernelServer) => Readonly<Record<string, ControlHandler>>;
}

export interface KernelStatus {
  readonly version: string;
  readonly archiveError: string | null;
  readonly processes: readonly {
    readonly site: string;
    readonly process: string;
    readonly isConnected: boolean;
    readonly silentMs: number;
    readonly uplinkState: string;
    readonly streams: readonly { readonly streamId: string; readonly producedTo: number }[];
  }[];
}

/** A running Kernel: the archive, the listener for agents, and the control socket. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #archive: Archive;
  readonly #server: KernelServer;
  #listener: Listener | null = null;
  #control: Listener | null = null;

  private constructor(options: KernelOptions, archive: Archive) {
    this.#options = options;
    this.#archive = archive;
    this.#server = new KernelServer({ ...options, archive });
  }

  /** @throws KomError KOM_ALREADY_RUNNING, KOM_CONNECTION_REFUSED, KOM_ARCHIVE_UNAVAILABLE */
  static async start(options: KernelOptions): Promise<Kernel> {
    const kernel = new Kernel(options, await options.openArchive());
    const { transport, config, clock, log, handlers } = options;
    try {
      kernel.#control = await serveControl({
        transport,
        path: config.controlSocket,
        handlers: { ...kernel.#handlers(), ...handlers(kernel.#archive, kernel.#server) },
        clock,
        log,
      });
      kernel.#listener = await transport.listen(config.listen, (connection) =>
        kernel.#server.accept(connection),
      );
    } catch (error) {
      await kernel.stop();
      throw error;
    }
    log.info({ address: formatAddress(kernel.address) }, 'Kernel listens');
    return kernel;
  }

  /** Where agents reach it. */
  get address(): Address {
    return this.#listener?.address ?? this.#options.config.listen;
  }

  get status(): KernelStatus {
    return {
      version: this.#options.programVersion,
      archiveError: this.#server.archiveError,
      processes: this.#server.presence.all().map(({ site, process, status }) => ({
        site,
        process,
        isConnected: status.isConnected,
        silentMs: Math.round(status.silentMs),
        uplinkState: status.uplinkState,
        streams: status.streams.map(({ streamId, producedTo }) => ({ streamId, producedTo })),
      })),
    };
  }

  /** Finishes what is under way and closes the archive. */
  async stop(): Promise<void> {
    await this.#listener?.close();
    await this.#control?.close();
    await this.#server.close();
    await this.#archive.close().catch((error: unknown) => {
      this.#options.log.error({ error: describeError(error) }, 'the archive did not close');
    });
  }

  #handlers(): Readonly<Record<string, ControlHandler>> {
    const status = (): KernelStatus => this.status;
    const presence = this.#server.presence;
    return {
      status: async function* () {
        yield status();
      },
      live: async function* () {
        for (const process of presence.all()) {
          const { site } = process;
          for (const { value, ...rest } of process.values()) {
            yield { site, process: process.process, ...rest, value: valueToJson(value) };
          }
        }
      },
    };
  }
}
