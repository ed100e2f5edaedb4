import { COMMAND_BYTES_MAX, REASON_CHARACTERS_MAX } from './limits.ts';
import { COMMAND_OUTCOMES, type Command, type CommandResult } from './messages.ts';
import { invalid, type Wire, type WireReader } from './wire-reader.ts';

export function commandToWire(command: Command): Wire {
  return {
    ...command,
    commandId: Buffer.from(command.commandId, 'hex'),
    parameters: Buffer.from(JSON.stringify(command.parameters)),
  };
}

/** @throws KomError KOM_FRAME_INVALID */
export function commandFromWire(wire: WireReader): Command {
  const parameters = json(wire.bytes('parameters'));
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw invalid('the parameters of a command are no JSON object');
  }
  return {
    commandId: wire.id('commandId'),
    name: wire.name('name'),
    parameters: parameters as Command['parameters'],
    operator: wire.name('operator'),
    host: wire.name('host'),
    givenAtUs: wire.timeUs('givenAtUs'),
    timeoutMs: wire.number('timeoutMs'),
  };
}

export function resultToWire(result: CommandResult): Wire {
  return {
    commandId: Buffer.from(result.commandId, 'hex'),
    outcome: COMMAND_OUTCOMES.indexOf(result.outcome),
    text: result.text,
    items: Buffer.from(JSON.stringify(result.items)),
  };
}

/** @throws KomError KOM_FRAME_INVALID */
export function resultFromWire(wire: WireReader): CommandResult {
  const items = json(wire.bytes('items'));
  if (!Array.isArray(items)) throw invalid('the items of an answer are no JSON array');
  return {
    commandId: wire.id('commandId'),
    outcome: wire.choice('outcome', COMMAND_OUTCOMES),
    text: wire.text('text').slice(0, REASON_CHARACTERS_MAX),
    items,
  };
}

function json(bytes: Uint8Array): unknown {
  if (bytes.length > COMMAND_BYTES_MAX) throw invalid(`JSON of more than ${COMMAND_BYTES_MAX} bytes`);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw invalid('it holds something that is no JSON');
  }
}
