import { Assembler, BLOCK_SEAL_ENTRIES } from '../buffer/assembler.ts';
import { Backlog, type BacklogStat, WINDOW_SAMPLES_MAX } from '../buffer/backlog.ts';
import { openRing } from '../buffer/open-ring.ts';
import type { Ring } from '../buffer/ring.ts';
import { dictionaryOf } from '../config/dictionary.ts';
import type { Line, Process, Server, Site } from '../config/model.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { describeError, isKomError } from '../domain/errors.ts';
import { Quality } from '../domain/quality.ts';
import { type Now, ReportByException, type ReportedTag } from '../domain/report-by-exception.ts';
import type { Driver } from '../drivers/driver.ts';
import { superviseLine } from '../drivers/supervisor.ts';
import { LiveTable } from '../uplink/live-table.ts';
import { Uplink, type UplinkStatus } from '../uplink/uplink.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mintId, type Random } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import type { Transport } from '../world/transport.ts';

/** A clean stop waits so long for the Kernel to take the last blocks before they go to the ring. */
const FAREWELL_MS = 500;
const FAREWELL_CHECK_MS = 20;

export interface InstanceOptions {
  readonly site: Site;
  readonly server: Server;
  readonly process: Process;
  readonly disk: Disk;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** 32 hexadecimal digits: this run of the operating system. */
  readonly bootId: string;
  readonly programVersion: string;
  readonly createDriver: (line: Line) => Promise<Driver>;
  /** Opens the ring on the disk; the real one if not given. */
  readonly openRing?: typeof openRing;
}

export interface InstanceStatus {
  readonly process: string;
  readonly instance: number;
  readonly streamId: string;
  /** Highest sequence given out. */
  readonly producedTo: number;
  readonly uplink: UplinkStatus;
  readonly backlog: BacklogStat;
  readonly overloadCount: number;
  readonly lines: readonly {
    readonly name: string;
    readonly isConnected: boolean;
    readonly lastError: string | null;
  }[];
}

/** One instance of a process: its lines, its buffer, its uplink. */
export class Instance {
  readonly #options: InstanceOptions;
  readonly #ring: Ring;
  readonly #backlog: Backlog;
  readonly #assembler: Assembler;
  readonly #report: ReportByException;
  readonly #uplink: Uplink;
  readonly #lines = new Map<string, { isConnected: boolean; lastError: string | null }>();
  readonly #fieldStop = new AbortController();
  readonly #uplinkStop = new AbortController();
  readonly #aliveTimer: Timer;
  #field: Promise<unknown> = Promise.resolve();
  #uplinkRun: Promise<void> = Promise.resolve();

  /** Opens the ring, which always succeeds but for a living owner, and starts polling and sending. */
  static async start(options: InstanceOptions): Promise<Instance> {
    const { process, disk, clock, random, log, bootId } = options;
    const ring = await (options.openRing ?? openRing)(disk, {
      capacityBytes: process.buffer.capacityBytes,
      freeDiskFloorBytes: process.buffer.freeDiskFloorBytes,
      policy: process.buffer.store,
      whenFull: process.buffer.whenFull,
      mintStreamId: () => mintId(random),
      lostAtMost: WINDOW_SAMPLES_MAX + BLOCK_SEAL_ENTRIES,
      bootId,
      clock,
      log,
    });
    const dictionary = encodeDictionary(dictionaryOf(options.site, process));
    await ring.putDictionary(dictionary);
    const instance = new Instance(options, ring, dictionary.hash);
    await instance.#startLines();
    instance.#uplinkRun = instance.#uplink.run(instance.#uplinkStop.signal);
    return instance;
  }

  private constructor(options: InstanceOptions, ring: Ring, dictionaryHash: string) {
    this.#options = options;
    this.#ring = ring;
    const { process, clock, log, site, server } = options;
    const { buffer } = process;
    const tags = tagsOf(process);
    this.#report = new ReportByException(tags, ring.stream.previous?.aliveUntilUs ?? null);
    this.#backlog = new Backlog({
      ring,
      policy: buffer.store,
      spillAgeMs: buffer.spillAgeMs,
      windowBytes: buffer.windowBytes,
      clock,
      log,
    });
    const live = new LiveTable(tags.length);
    const { streamId } = ring.stream;
    this.#assembler = new Assembler({
      streamId,
      dictionaryHash,
      clock,
      blockAgeMs: buffer.blockAgeMs,
      seal: (block) => this.#backlog.accept(block),
      hasRoom: () => this.#backlog.hasRoom,
      numbered: (sample, sequence) => live.update(sample, sequence),
      overloadEnded: () => this.#overloadEnded(),
    });
    this.#uplink = new Uplink({
      ...options,
      kernels: site.kernels,
      ...(server.localAddress === undefined ? {} : { localAddress: server.localAddress }),
      identity: {
        programVersion: options.programVersion,
        site: site.name,
        process: process.name,
        instance: server.instance,
        siteHash: site.hash,
      },
      settings: process.uplink,
      backlog: this.#backlog,
      live,
      dictionaryHash,
      streamId,
      producedTo: () => this.#assembler.nextSequence - 1,
    });
    this.#aliveTimer = clock.repeat('alive mark', buffer.aliveMarkMs, () => this.#markAlive());
  }

  get status(): InstanceStatus {
    return {
      process: this.#options.process.name,
      instance: this.#options.server.instance,
      streamId: this.#ring.stream.streamId,
      producedTo: this.#assembler.nextSequence - 1,
      uplink: this.#uplink.status,
      backlog: this.#backlog.stat(),
      overloadCount: this.#assembler.overloadCount,
      lines: [...this.#lines].map(([name, state]) => ({ name, ...state })),
    };
  }

  /** Clean stop: lines closed, everything numbered delivered or in the ring, the stream ended. */
  async stop(): Promise<void> {
    const { clock, log } = this.#options;
    this.#fieldStop.abort();
    await this.#field;
    this.#aliveTimer.cancel();
    this.#assembler.flush();
    await this.#farewell();
    await this.#backlog.close();
    const lastSequence = this.#assembler.nextSequence - 1;
    const endedAtUs = clock.wallUs();
    try {
      await this.#ring.endStream(lastSequence, endedAtUs);
      await this.#uplink.sendStreamEnd(lastSequence, endedAtUs);
    } catch (error) {
      if (!isKomError(error)) throw error;
      log.error({ code: error.code, error: error.message }, 'the clean end could not be told');
    }
    this.#uplinkStop.abort();
    await this.#uplinkRun;
    await this.#ring.close();
  }

  async #startLines(): Promise<void> {
    const { process, clock, random, log, createDriver } = this.#options;
    const runs: Promise<void>[] = [];
    for (const line of process.lines) {
      for (const station of line.stations) {
        if (station.mode === 'off')
          this.#assembler.accept(this.#report.stationOff(station.name, this.#now()));
      }
      const state = { isConnected: false, lastError: null };
      this.#lines.set(line.name, state);
      const driver = await createDriver(line);
      const { name, reconnectDelayMinMs, reconnectDelayMaxMs } = line;
      const listener = this.#listen(line, state);
      const supervised = {
        name,
        driver,
        reconnectDelayMinMs,
        reconnectDelayMaxMs,
        listener,
        clock,
        random,
        log,
      };
      runs.push(superviseLine(supervised, this.#fieldStop.signal));
    }
    this.#field = Promise.all(runs);
  }

  #listen(line: Line, state: { isConnected: boolean; lastError: string | null }) {
    const stations = line.stations.filter(({ mode }) => mode === 'on').map(({ name }) => name);
    return {
      connected: () => {
        state.isConnected = true;
        state.lastError = null;
        for (const station of stations) this.#report.stationConnected(station);
      },
      batch: (batch: Parameters<ReportByException['report']>[0]) => {
        this.#assembler.accept(this.#report.report(batch, this.#now()));
      },
      lost: (reason: string) => {
        state.isConnected = false;
        state.lastError = reason;
        const now = this.#now();
        for (const station of stations) {
          this.#assembler.accept(this.#report.stationLost(station, Quality.badNotConnected, now));
        }
      },
    };
  }

  /** Values that were refused during the overload count as reported; each must be reported again. */
  #overloadEnded(): void {
    for (const station of this.#report.stations()) this.#report.stationConnected(station);
  }

  #markAlive(): void {
    this.#ring
      .markAlive(this.#options.clock.wallUs(), this.#assembler.nextSequence)
      .catch((error: unknown) => {
        this.#options.log.error({ error: describeError(error) }, 'the alive mark could not be stored');
      });
  }

  /** While the Kernel takes blocks, it may take the last ones too. */
  async #farewell(): Promise<void> {
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + FAREWELL_MS;
    while (
      this.#backlog.state === 'online' &&
      this.#backlog.stat().samples > 0 &&
      clock.monotonicMs() < endMs
    ) {
      await clock.sleep(FAREWELL_CHECK_MS);
    }
  }

  #now(): Now {
    return { wallUs: this.#options.clock.wallUs(), monotonicMs: this.#options.clock.monotonicMs() };
  }
}

function tagsOf(process: Process): ReportedTag[] {
  const tags: ReportedTag[] = [];
  for (const line of process.lines) {
    for (const station of line.stations) {
      for (const tag of station.tags) {
        tags[tag.index] = {
          name: tag.name,
          station: station.name,
          class: tag.class,
          deadband: tag.deadband,
          reportAtLeastEveryMs: tag.reportAtLeastEveryMs,
        };
      }
    }
  }
  return tags;
}
