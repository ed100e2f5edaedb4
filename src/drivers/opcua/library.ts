import type { Log } from '../../world/log.ts';

/** The client library, as far as the types go; the code is loaded by `loadOpcuaClient`. */
export type OpcuaLibrary = typeof import('node-opcua-client');

const MESSAGE_LENGTH_MAX = 500;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
const COLOUR = /\u001b\[[0-9;]*m/g;

/**
 * Loads node-opcua-client (about 0.7 s and 50 MB the first time), so an agent without OPC UA never pays
 * for it. The library prints its warnings on stdout, where the agent's own log is: they go to `log`.
 */
export async function loadOpcuaClient(log: Log): Promise<OpcuaLibrary> {
  const opcua = await import('node-opcua-client');
  opcua.setErrorLogger((_context, ...parts) => log.warn({}, plainText(parts)));
  opcua.setWarningLogger((_context, ...parts) => log.debug({}, plainText(parts)));
  opcua.setDebugLogger((_context, ...parts) => log.debug({}, plainText(parts)));
  return opcua;
}

function plainText(parts: readonly unknown[]): string {
  const text = parts.map((part) => (part instanceof Error ? part.message : String(part))).join(' ');
  return text.replace(COLOUR, '').replace(/\s+/g, ' ').trim().slice(0, MESSAGE_LENGTH_MAX);
}
