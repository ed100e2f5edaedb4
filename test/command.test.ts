import { describe, expect, it } from 'vitest';
import { BENCH } from '../bench/command.ts';
import { type Command, command, read } from './command/usage.ts';
import { CRASH } from './crash/command.ts';
import { FUZZ } from './fuzz/command.ts';
import { SIM } from './simulation/command.ts';
import { SHARED_MUTATIONS } from './simulation/shared-mutations.ts';
import { TOPOLOGIES } from './topologies/command.ts';

const COMMANDS: readonly Command[] = [SIM, CRASH, FUZZ, TOPOLOGIES, BENCH];

async function said(of: Command, line: string): Promise<{ code: number; said: string }> {
  const reading = await read(of, line === '' ? [] : line.split(' '));
  if (!('said' in reading)) throw new Error(`taken: ${JSON.stringify(reading)}`);
  return reading;
}

describe.each(COMMANDS.map((each) => [each.name, each] as const))('npm run %s', (name, of) => {
  it('tells its options, the names that there are, exit codes and examples', async () => {
    for (const line of ['--help', '-h', '--nosuch --help']) {
      const { code, said: text } = await said(of, line);
      expect(code).toBe(0);
      for (const option of Object.keys(of.options)) expect(text).toContain(`  --${option}`);
      const words = text.split(/[\s,]+/);
      for (const option of Object.values(of.options)) {
        if ('names' in option) expect(words).toEqual(expect.arrayContaining([...option.names]));
      }
      expect(words).toEqual(expect.arrayContaining([...(of.subject?.names ?? [])]));
      expect(text).toMatch(
        /\nExit codes:\n {2}0 {4}\w.*\n {2}1 {4}\w(?:.|\n)*\n {2}2 {4}\w(?:.|\n)*\n {2}130 {2}\w/,
      );
      expect(text).toContain(`\nExamples:\n  npm run ${name}`);
      expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(110);
    }
  });

  it('names its options where one does not exist, in one line', async () => {
    const { code, said: text } = await said(of, `${of.subject?.names[0] ?? ''} --nosuch 5`.trim());
    expect(code).toBe(2);
    expect(text).toMatch(/^there is no option --nosuch; there are: .*--json.*, --help\. .*\n$/);
    expect(text).toContain(`npm run ${name} -- --help`);
  });

  it('takes its own examples', async () => {
    for (const [line] of of.examples) {
      expect(await read(of, line === '' ? [] : line.split(' '))).toHaveProperty('values');
    }
  });
});

describe('what is wrong is said, with what there is', () => {
  const wrong: readonly (readonly [Command, string, string])[] = [
    [SIM, '--faults nosuch', '--faults takes one or more, with commas, of link-hang, '],
    [SIM, '--faults agent-kill,nosuch', ', not "nosuch"'],
    [SIM, '--kind nosuch', '--kind takes one of single, pair, kernels, site, shared, not "nosuch"'],
    [SIM, '--mutate nosuch', `${Object.keys(SHARED_MUTATIONS).join(', ')}, not "nosuch"`],
    [SIM, '--seeds many', '--seeds takes a whole number from 1 to 2147483648, not "many"'],
    [SIM, '--seeds 1.5', 'not "1.5"'],
    [SIM, '--seeds 0', 'not "0"'],
    [SIM, '--seeds=', 'not ""'],
    [SIM, '--seeds', '--seeds takes a whole number'],
    [SIM, '--seeds --json', '--seeds takes a whole number'],
    [SIM, '--seed 1 --seed 2', '--seed is there twice'],
    [SIM, '--seed 1 --seeds 2', 'leave out --seeds'],
    [SIM, '--seed 1 --first 2', 'leave out --first'],
    [SIM, '--json=yes', '--json takes no value'],
    [SIM, '-x', 'there is no option -x'],
    // What is left where somebody forgets the two dashes: npm takes the name of the option.
    [SIM, '5', '"5" belongs to no option; options stand behind two dashes: npm run sim -- '],
    [CRASH, '--kills -1', '--kills takes a whole number from 0 to 100000'],
    [CRASH, '--power-cuts 1e9', 'not "1e9"'],
    [FUZZ, '--seconds soon', '--seconds takes a number from 0 to 1000000, not "soon"'],
    [FUZZ, '--seed 0.5', '--seed takes a whole number'],
    [TOPOLOGIES, '--figure 11', '8, 9, 10, not "11"'],
    [BENCH, '', 'say which bench; there are: archive, drain, '],
    [BENCH, 'nosuch', 'there is no bench "nosuch"; there are: archive, drain, '],
    [BENCH, 'ring drain', 'one bench at a time'],
    [BENCH, 'ring --samples few', 'not "few"'],
  ];
  it.each(wrong)('$name %s', async (of, line, complaint) => {
    const { code, said: text } = await said(of, line);
    expect(code).toBe(2);
    expect(text).toContain(complaint);
    expect(text.split('\n')).toEqual([expect.stringContaining(`npm run ${of.name} -- --help`), '']);
  });
});

it('values come as what they are', async () => {
  const of = command({
    ...{ name: 'try', about: 'Nothing.', exits: {}, examples: [] },
    options: {
      flag: { kind: 'flag', about: '' },
      much: { kind: 'number', about: '', least: 0, most: 9, otherwise: 3 },
      part: { kind: 'number', about: '', least: 0, most: 9, mayBeFraction: true },
      some: { kind: 'some of', about: '', names: ['a', 'b', 'c'] },
      one: { kind: 'one of', about: '', names: ['a', 'b'] },
    },
  });
  expect(await read(of, [])).toEqual({
    values: { flag: false, much: 3, part: undefined, some: [], one: undefined },
    subject: '',
  });
  const args = ['--flag', '--much=4', '--part', '0.5', '--some', 'a,b', '--some', 'c', '--one', 'b'];
  expect(await read(of, args)).toEqual({
    values: { flag: true, much: 4, part: 0.5, some: ['a', 'b', 'c'], one: 'b' },
    subject: '',
  });
});
