import { Argument, Command } from 'commander';
import { type OperatorOptions, printCommand, withOperator } from './operator.ts';
import type { CommandContext } from './program.ts';

/** `kom station STATION on|off`. */
export function stationCommand(context: CommandContext): Command {
  const command = new Command('station')
    .description('Switches a station on or off until the next start of its agent.')
    .argument('<station>', 'the station, by name')
    .addArgument(new Argument('<mode>', 'what it is to be').choices(['on', 'off']))
    .addHelpText(
      'after',
      '\nA station that is off is not polled; the time is a gap with the reason station-off. Its line is' +
        '\nopened anew, which the other stations of the line see as a short loss of connection.' +
        '\nThe site file has to allow it: "commands": {"allow": ["station", …]}.',
    );
  return withOperator(command).action(async (station: string, mode: string, options: OperatorOptions) => {
    await printCommand(context, options, { name: 'station', parameters: { station, mode } });
  });
}
