import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { loadKernelConfig } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';

/** The Kernel that runs here: its file, or its control socket. */
export interface KernelPlace {
  readonly file: string | undefined;
  readonly socket: string | undefined;
}

/** Adds how a command of a Kernel is told which Kernel runs here. */
export function withKernelPlace(command: Command): Command {
  return command
    .argument('[kernel.json]', 'the configuration of the Kernel that runs here')
    .option('--socket <path>', 'the control socket of that Kernel itself, in place of its file');
}

/** The control socket of a Kernel. @throws KomError KOM_USAGE unless there is one way to it */
export async function kernelSocket({ file, socket }: KernelPlace): Promise<string> {
  if (file !== undefined && socket === undefined) return await socketOfKernelFile(file);
  if (file === undefined && socket !== undefined) return socket;
  throw new KomError('KOM_USAGE', 'which Kernel?', { expected: 'either the Kernel file or --socket' });
}

/** The control socket that `--kernel` of an operator means: that of a Kernel file, or the socket itself. */
export async function kernelSocketAt(place: string): Promise<string> {
  // A socket of a Kernel that is not running may be gone, a file that is misspelt was never there.
  const isFile = place.endsWith('.json') || statSync(place, { throwIfNoEntry: false })?.isFile() === true;
  return isFile ? await socketOfKernelFile(place) : place;
}

/** The control socket that a Kernel file tells; the secrets of the file may be out of reach here. */
async function socketOfKernelFile(file: string): Promise<string> {
  const { config } = await loadKernelConfig(file, { secretsOptional: true });
  return config.controlSocket;
}
