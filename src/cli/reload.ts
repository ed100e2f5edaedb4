import { Command } from 'commander';
import { type NamedPlaces, placesText } from '../agent/site-reload.ts';
import { KomError } from '../domain/errors.ts';
import { callOperator, type OperatorOptions, who } from './operator.ts';
import type { CommandContext } from './program.ts';

type ReloadOptions = Pick<OperatorOptions, 'server' | 'socket' | 'json'>;

/** `kom reload site.json`: a running agent follows the Kernels that its site file names now. */
export function reloadCommand({ output }: CommandContext): Command {
  return new Command('reload')
    .description('Has a running agent read its site file anew and follow the Kernels that it names now.')
    .argument('<site.json>', 'the site file of the agent that runs here')
    .option('--server <name>', 'the comm server of the site file')
    .option('--socket <path>', 'the control socket of the agent, if the file does not tell it')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nTaken over are kernels and uplink.listen.allowFrom. A session with a Kernel that stays goes on,' +
        '\nand with one that is gone it ends in order. A file with mistakes is refused as by kom check, and' +
        '\nwhatever else changed is refused with its place and needs a restart: nothing is taken over then.' +
        '\nAlso by SIGHUP; the log and kom audit tell what came of it. See docs/KERNELS.md.',
    )
    .action(async (file: string, options: ReloadOptions) => {
      const [places] = await callOperator({ ...options, config: file }, 'reload', who());
      if (places === undefined) throw new KomError('KOM_CONNECTION_LOST', 'the agent answered nothing');
      output.line(options.json === true ? JSON.stringify(places) : placesText(places as NamedPlaces));
    });
}
