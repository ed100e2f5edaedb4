import { KomError } from '../domain/errors.ts';
import type { Audit } from '../ops/audit.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { CommandDesk } from './commands.ts';

/** A command that says nothing of it may take so long; and at most this. */
const TIMEOUT_MS = 15_000;
const TIMEOUT_MS_MAX = 600_000;
const ENTRIES = 100;

/** Methods of the Kernel's control socket for operators: `command` and `audit`. */
export function kernelCommandHandlers(
  commands: CommandDesk,
  audit: Audit,
): Readonly<Record<string, ControlHandler>> {
  return {
    command: async function* (params) {
      const { process, site, instance, name, parameters = {}, operator, host, timeoutMs, commandId } = params;
      if (typeof process !== 'string' || typeof name !== 'string' || !isObject(parameters)) {
        throw new KomError('KOM_USAGE', 'a command names a process and what is wanted of it', {
          expected: '--process',
        });
      }
      const timeout = typeof timeoutMs === 'number' ? timeoutMs : TIMEOUT_MS;
      const result = await commands.give({
        target: {
          process,
          ...(typeof site === 'string' ? { site } : {}),
          ...(typeof instance === 'number' ? { instance } : {}),
        },
        ...{ name, parameters, operator: String(operator ?? ''), host: String(host ?? '') },
        timeoutMs: Math.max(1, Math.min(timeout, TIMEOUT_MS_MAX)),
        ...(typeof commandId === 'string' ? { commandId } : {}),
      });
      yield { ...result, process };
    },
    audit: async function* ({ limit }) {
      yield* await audit.read(typeof limit === 'number' && limit > 0 ? Math.floor(limit) : ENTRIES);
    },
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
