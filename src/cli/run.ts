import { existsSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { Agent } from '../agent/agent.ts';
import { formatProblem, loadSite, type Problem } from '../config/load.ts';
import type { Process, Server, Site } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import { openLevelDisk } from '../world/real/level-disk.ts';
import type { CommandContext } from './program.ts';
import { SiteReader } from './site-reader.ts';
import { startAgainIfSmall } from './small-process.ts';
import { heardHangups, LOG_LEVELS, leave, realWorld, untilSignal } from './world.ts';

interface RunOptions {
  readonly server?: string;
  readonly process?: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** `kom run`: an agent, until SIGTERM or SIGINT. */
export function runCommand(_context: CommandContext): Command {
  return new Command('run')
    .description('Runs the instances of one comm server until SIGTERM; logs JSON lines to standard output.')
    .argument('<site.json>', 'the site file')
    .option(
      '--server <name>',
      'the comm server of the site file that this machine is (needed if there are several)',
    )
    .option('--process <name>', 'run only this process of the server')
    .addOption(
      new Option('--log-level <level>', 'how much is logged').choices([...LOG_LEVELS]).default('info'),
    )
    .addHelpText('after', '\nSIGHUP has it read the site file anew, as kom reload does.')
    .action(async (file: string, options: RunOptions) => {
      const hangups = heardHangups();
      const first = await loadSite(file);
      const server = chooseServer(first.site, options.server);
      startAgainIfSmall(chooseProcesses(first.site, server, options.process));
      const world = realWorld({ level: options.logLevel, name: 'kom' });
      // Loaded again for its server: serial devices and directories depend on it.
      const loaded = await loadSite(file, { server: server.name });
      const warn = (problems: readonly Problem[]): void => {
        for (const problem of problems) world.log.warn({ file }, formatProblem(problem));
      };
      warn(loaded.problems);
      const reader = new SiteReader(file, server.name, loaded);
      const { site } = loaded;
      const processes = chooseProcesses(site, server, options.process);
      for (const left of strangers(server.dataDirectory, site)) {
        world.log.warn(
          { directory: left },
          'a buffer of a process that the site file does not have: nothing of it is delivered',
        );
      }
      const agent = await Agent.start({
        ...world,
        site,
        server,
        processes,
        openDisk: openLevelDisk,
        exists: existsSync,
        readPlaces: async () => {
          const { places, problems } = await reader.read();
          warn(problems);
          return places;
        },
      });
      hangups.each(() => {
        // Why it is refused is in the log already.
        agent.reload({ operator: 'SIGHUP', host: hostname() }).catch(() => {});
      });
      world.log.info(
        { site: site.name, server: server.name, processes: processes.map(({ name }) => name) },
        'running',
      );
      const signal = await untilSignal();
      world.log.info({ signal }, 'stopping');
      await agent.stop();
      world.log.info({}, 'stopped');
      leave();
    });
}

/** Directories of rings below a data directory that no process of the site would open. */
function strangers(dataDirectory: string, site: Site): string[] {
  if (!existsSync(dataDirectory)) return [];
  const known = new Set(site.processes.flatMap(({ name }) => [name, `${name}.alarm`]));
  return readdirSync(dataDirectory)
    .filter((name) => !known.has(name) && existsSync(join(dataDirectory, name, 'meta', 'CURRENT')))
    .map((name) => join(dataDirectory, name));
}

/** The named server, or the only one. @throws KomError KOM_USAGE */
export function chooseServer(site: Site, name: string | undefined): Server {
  const names = site.servers.map((server) => server.name).join(', ');
  const server = name === undefined && site.servers.length === 1 ? site.servers[0] : undefined;
  const chosen = server ?? site.servers.find((each) => each.name === name);
  if (chosen !== undefined) return chosen;
  throw new KomError('KOM_USAGE', name === undefined ? 'the site has several servers' : `no server ${name}`, {
    expected: `--server with one of ${names}`,
  });
}

function chooseProcesses(site: Site, server: Server, name: string | undefined): Process[] {
  const ofServer = site.processes.filter(({ servers }) => servers.includes(server.name));
  const chosen = name === undefined ? ofServer : ofServer.filter((process) => process.name === name);
  if (chosen.length > 0) return chosen;
  throw new KomError(
    'KOM_USAGE',
    `server ${server.name} runs ${name === undefined ? 'no process' : `no ${name}`}`,
    {
      expected: `one of ${ofServer.map((each) => each.name).join(', ') || 'a process with this server'}`,
    },
  );
}
