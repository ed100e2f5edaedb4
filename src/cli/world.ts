import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PassedMoment } from '../domain/clock-doubt.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { bootId } from '../world/real/boot.ts';
import { createClock } from '../world/real/clock.ts';
import { createLog, type LogOptions } from '../world/real/log.ts';
import { flashBytes } from '../world/real/process-io.ts';
import { createRandom } from '../world/real/random.ts';
import { createTcpTransport } from '../world/real/tcp-transport.ts';
import { realTlsFiles } from '../world/real/tls-files.ts';
import type { TlsFileAccess } from '../world/tls-files.ts';
import type { Transport } from '../world/transport.ts';
import { programVersion } from './version.ts';

/** The real world of a process of this program. */
export interface RealWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Log;
  readonly bootId: string;
  readonly programVersion: string;
  /** See `process-io.ts`. */
  readonly flashBytes: () => number | null;
  readonly tlsFiles: TlsFileAccess;
  /** Moments that have passed, against a wrong clock. */
  readonly passed: readonly PassedMoment[];
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** Makes the real world; `log` says who speaks and how much. */
export function realWorld(log: LogOptions): RealWorld {
  const random = createRandom();
  return {
    clock: createClock(),
    random,
    transport: createTcpTransport(),
    log: createLog(log),
    bootId: bootId(random),
    programVersion: programVersion(),
    flashBytes,
    tlsFiles: realTlsFiles,
    passed: [
      {
        what: 'this program was installed',
        atUs: Math.floor(statSync(fileURLToPath(import.meta.url)).mtimeMs * 1000),
      },
    ],
  };
}

/** Two signals of one keystroke are no further apart: the terminal's own, and what the launcher passes on. */
const SAME_KEYSTROKE_MS = 1000;

/**
 * Resolves at the first SIGTERM or SIGINT. Another SIGTERM changes nothing: a service manager tells every
 * process of the service, and the launcher passes on what it hears, so one stop may come twice. Another
 * Ctrl-C, a second later or more, is a person who does not want to wait: it ends the process at once.
 */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstMs: number | null = null;
    for (const each of ['SIGTERM', 'SIGINT'] as const) {
      process.on(each, () => {
        const isAgain = firstMs !== null && performance.now() - firstMs >= SAME_KEYSTROKE_MS;
        if (isAgain && each === 'SIGINT') process.exit(130);
        firstMs ??= performance.now();
        resolve(each);
      });
    }
  });
}

/**
 * Ends the process when everything is closed and said. Left to itself, Node may spin for ever over what a
 * broken connection left, and a service manager waits until it kills it.
 */
export function leave(): never {
  process.exit();
}

/** From now on SIGHUP does not end the process; whoever asks for each hears of one that came before, too. */
export function heardHangups(): { readonly each: (callback: () => void) => void } {
  let tell: (() => void) | null = null;
  let isWaiting = false;
  process.on('SIGHUP', () => {
    if (tell === null) isWaiting = true;
    else tell();
  });
  return {
    each: (callback) => {
      tell = callback;
      if (isWaiting) callback();
    },
  };
}
