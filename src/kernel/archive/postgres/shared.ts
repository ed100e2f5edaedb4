import type { PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import { describeError, isKomError } from '../../../domain/errors.ts';
import type { Archive } from '../../../world/archive.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import type { RoleSession, SharedArchive, SharedReign } from '../../../world/shared-archive.ts';
import { DatabaseError, isRefusedFor } from './connection.ts';
import { prepareForWriting } from './open.ts';
import { followPostgresArchive, openPostgresArchive } from './postgres-archive.ts';
import { unavailable } from './refusals.ts';
import { PostgresRoleSession } from './role-session.ts';

interface SharedOptions {
  readonly config: PostgresArchiveConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/** A schema of a PostgreSQL database that several Kernels share. */
export class PostgresSharedArchive implements SharedArchive {
  readonly #options: SharedOptions;
  #isPrepared = false;

  constructor(options: SharedOptions) {
    this.#options = options;
  }

  async prepare(): Promise<void> {
    try {
      await this.#prepare();
    } catch (error) {
      const isAway = isKomError(error) && error.cause instanceof DatabaseError && !isRefusedFor(error);
      if (!isAway) throw unavailable(error);
      this.#options.log.warn({ error: describeError(error) }, 'the shared database is away');
    }
  }

  async openSession(name: string): Promise<RoleSession> {
    try {
      await this.#prepare();
      return await PostgresRoleSession.open(name, this.#options);
    } catch (error) {
      throw unavailable(error);
    }
  }

  rule(reign: SharedReign): Promise<Archive> {
    return openPostgresArchive({ ...this.#options, reign });
  }

  async #prepare(): Promise<void> {
    if (this.#isPrepared) return;
    await prepareForWriting({ ...this.#options, login: this.#options.config.login });
    this.#isPrepared = true;
  }

  follow(): Archive {
    return followPostgresArchive(this.#options);
  }
}
