import { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import { formatTimeUs } from '../domain/units.ts';
import type { AuditEntry } from '../ops/audit.ts';
import { callOperator, type OperatorOptions, target, withOperator } from './operator.ts';
import type { CommandContext } from './program.ts';

/** `kom audit`: who asked for what, when, and what came of it. */
export function auditCommand({ output }: CommandContext): Command {
  const command = new Command('audit')
    .description('Shows who asked an agent, or with --kernel a Kernel, for what, when, and what came of it.')
    .option('--limit <number>', 'the last entries', '100');
  return withOperator(command).action(async (options: OperatorOptions & { readonly limit: string }) => {
    const limit = Number(options.limit);
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new KomError('KOM_USAGE', '--limit is a number from 1 on');
    const entries = (await callOperator(options, 'audit', { ...target(options), limit })) as AuditEntry[];
    for (const entry of entries) output.line(options.json === true ? JSON.stringify(entry) : lineOf(entry));
  });
}

function lineOf({ atUs, way, operator, host, process, name, parameters, outcome, text }: AuditEntry): string {
  const what = `${name} ${JSON.stringify(parameters)}`;
  const who = operator === '' && host === '' ? 'by itself' : `${operator}@${host}`;
  return `${formatTimeUs(atUs)}  ${who} (${way})  ${process}: ${what}: ${outcome}: ${text}`;
}
