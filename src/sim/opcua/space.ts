import type { OPCUAServer, UAVariable } from 'node-opcua';
import { invariant } from '../../domain/errors.ts';
import type { Point } from './plant.ts';
import type { OpcuaServerLibrary } from './server.ts';

const NODE_ID = /^(?:ns=(\d+);|nsu=([^;]+);)?([isgb]=.+)$/;
const NAMESPACES_MAX = 100;

/**
 * Adds a folder per station and a variable per point, under the node ids of the configuration. A node id
 * that the server has anyway (`ns=0;…`) stays the server's, and is not simulated.
 */
export function addVariables(
  library: OpcuaServerLibrary,
  server: OPCUAServer,
  stations: ReadonlyMap<string, readonly Point[]>,
): Map<Point, UAVariable> {
  const { addressSpace } = server.engine;
  invariant(addressSpace !== null, 'an initialized server has an address space');
  const own = addressSpace.getOwnNamespace();
  const variables = new Map<Point, UAVariable>();
  for (const [name, points] of stations) {
    const folder = own.addFolder(addressSpace.rootFolder.objects, {
      browseName: name,
      nodeId: `s=folder:${name}`,
    });
    for (const point of points) {
      const [, index, uri, identifier] = NODE_ID.exec(point.tag.nodeId) ?? [];
      invariant(identifier !== undefined, `${point.tag.nodeId} is a node id`);
      if (uri === undefined && Number(index ?? 0) === 0) continue;
      const namespace = namespaceOf(server, uri, Number(index));
      const variable = namespace.addVariable({
        componentOf: folder,
        browseName: point.tag.name,
        nodeId: `ns=${namespace.index};${identifier}`,
        dataType: library.DataType[point.type],
        minimumSamplingInterval: 50,
      });
      variables.set(point, variable);
    }
  }
  return variables;
}

function namespaceOf(server: OPCUAServer, uri: string | undefined, index: number) {
  const { addressSpace } = server.engine;
  invariant(addressSpace !== null, 'an initialized server has an address space');
  if (uri !== undefined) return addressSpace.registerNamespace(uri);
  invariant(index < NAMESPACES_MAX, `namespace ${index} is below ${NAMESPACES_MAX}`);
  for (let next = addressSpace.getNamespaceArray().length; next <= index; next += 1) {
    addressSpace.registerNamespace(`urn:kom-archive:simulator:namespace-${next}`);
  }
  return addressSpace.getNamespace(index);
}
