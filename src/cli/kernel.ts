import { join } from 'node:path';
import { Command, Option } from 'commander';
import { formatProblem, loadKernelConfig } from '../config/load.ts';
import { describeError } from '../domain/errors.ts';
import { openArchive, openSharedArchive } from '../kernel/archive/open.ts';
import { kernelCommandHandlers } from '../kernel/command-handlers.ts';
import { groupHandlers } from '../kernel/group/group-handlers.ts';
import { Kernel } from '../kernel/kernel.ts';
import type { Switchable } from '../kernel/kernel-role.ts';
import { leaseHandlers } from '../kernel/lease-handlers.ts';
import { queryHandlers } from '../kernel/queries.ts';
import type { KernelServer } from '../kernel/server.ts';
import { Audit } from '../ops/audit.ts';
import type { Archive } from '../world/archive.ts';
import { openLevelDisk } from '../world/real/level-disk.ts';
import { SideStore } from '../world/side-store.ts';
import { holdDirectory } from './held-directory.ts';
import {
  kernelAcknowledgeCommand,
  kernelReloadCommand,
  kernelStatusCommand,
  kernelSwitchCommand,
} from './kernel-group.ts';
import type { CommandContext } from './program.ts';
import { LOG_LEVELS, leave, realWorld, untilSignal } from './world.ts';

interface KernelCommandOptions {
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** `kom kernel`: a Kernel with its archive, until SIGTERM or SIGINT. */
export function kernelCommand(context: CommandContext): Command {
  const command = new Command('kernel')
    .description('Runs a Kernel with its archive until SIGTERM; logs JSON lines to standard output.')
    .argument('<kernel.json>', 'the configuration of the Kernel')
    .addOption(
      new Option('--log-level <level>', 'how much is logged').choices([...LOG_LEVELS]).default('info'),
    )
    .action(async (file: string, options: KernelCommandOptions) => {
      const world = realWorld({ level: options.logLevel, name: 'kom-kernel' });
      const { config, problems } = await loadKernelConfig(file);
      for (const problem of problems) world.log.warn({ file }, formatProblem(problem));
      const ring = config.redundancy?.ring.directory;
      await using _held = ring === undefined ? null : await holdDirectory(ring, world.log);
      const audit = new Audit(
        new SideStore(await openLevelDisk(join(config.archive.directory, 'audit')), 'notes'),
      );
      const handlers = (archive: Archive, server: KernelServer, group: Switchable | null) => ({
        ...queryHandlers(archive, server, world.clock),
        ...kernelCommandHandlers(server.commands, audit),
        ...leaseHandlers({ ...world, leases: server.leases, commands: server.commands, audit }),
        ...groupHandlers({ ...world, group, audit }),
      });
      const openGroupDisk = openLevelDisk;
      const readConfig = async () => (await loadKernelConfig(file)).config;
      const stores = { openArchive: () => openArchive(config.archive, world), openGroupDisk };
      const sharing =
        config.sharing === undefined ? {} : { shared: await openSharedArchive(config.archive, world) };
      const kernel = await Kernel.start({
        ...world,
        ...stores,
        ...sharing,
        config,
        readConfig,
        handlers,
        audit,
      });
      process.on('SIGHUP', () => {
        kernel.reload().catch((error: unknown) => {
          world.log.error({ error: describeError(error) }, 'the Kernel file is not taken');
        });
      });
      const signal = await untilSignal();
      world.log.info({ signal }, 'stopping');
      await kernel.stop();
      world.log.info({}, 'stopped');
      leave();
    });
  command.addCommand(kernelSwitchCommand(context));
  command.addCommand(kernelStatusCommand(context));
  command.addCommand(kernelReloadCommand(context));
  command.addCommand(kernelAcknowledgeCommand(context));
  return command;
}
