import type { ClientSession, NodeId } from 'node-opcua-client';
import type { OpcuaLibrary } from './library.ts';

const NAMESPACE_URI = /^nsu=([^;]+);(.+)$/;

/** Resolves the node ids of a configuration against one server. */
export class NodeIdResolver {
  readonly #opcua: OpcuaLibrary;
  readonly #namespaces: readonly string[];

  constructor(opcua: OpcuaLibrary, namespaces: readonly string[]) {
    this.#opcua = opcua;
    this.#namespaces = namespaces;
  }

  /** `undefined`: not a node id, or of a namespace that the server does not have. */
  resolve(text: string): NodeId | undefined {
    const [, uri, rest] = NAMESPACE_URI.exec(text) ?? [];
    const index = uri === undefined ? -1 : this.#namespaces.indexOf(uri);
    if (uri !== undefined && index < 0) return undefined;
    try {
      return this.#opcua.coerceNodeId(uri === undefined ? text : `ns=${index};${rest}`);
    } catch {
      return undefined;
    }
  }
}

/** Identifiers of the standard (OPC 10000-6, annex A). */
const NAMESPACE_ARRAY = 'i=2255';
const MAX_MONITORED_ITEMS_PER_CALL = 'i=11714';
const SERVER_STATE = 'i=2259';
const ITEMS_PER_CALL_DEFAULT = 1000;

/** What the driver needs to know of a server before it subscribes. */
export interface ServerFacts {
  readonly resolver: NodeIdResolver;
  /** How many items one CreateMonitoredItems may carry. */
  readonly itemsPerCall: number;
}

export async function readServerFacts(opcua: OpcuaLibrary, session: ClientSession): Promise<ServerFacts> {
  const nodes = [NAMESPACE_ARRAY, MAX_MONITORED_ITEMS_PER_CALL];
  const [namespaces, itemsMax] = await session.read(
    nodes.map((nodeId) => ({ nodeId, attributeId: opcua.AttributeIds.Value })),
  );
  const uris: unknown = namespaces?.value.value;
  const limit: unknown = itemsMax?.value.value;
  // 0 is "no limit" in the standard; a server that has none still gets requests of a bounded size.
  const itemsPerCall = typeof limit === 'number' && limit > 0 ? limit : ITEMS_PER_CALL_DEFAULT;
  return {
    resolver: new NodeIdResolver(opcua, Array.isArray(uris) ? uris.map(String) : []),
    itemsPerCall: Math.min(itemsPerCall, ITEMS_PER_CALL_DEFAULT),
  };
}

/** Any request keeps a session alive; this is the cheapest. */
export async function touchSession(opcua: OpcuaLibrary, session: ClientSession): Promise<void> {
  await session.read({ nodeId: SERVER_STATE, attributeId: opcua.AttributeIds.Value });
}
