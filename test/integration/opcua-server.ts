import { join } from 'node:path';
import {
  DataType,
  MessageSecurityMode,
  nodesets,
  OPCUACertificateManager,
  OPCUAServer,
  SecurityPolicy,
  setErrorLogger,
  setWarningLogger,
  type UAVariable,
  VariantArrayType,
  type VariantOptions,
} from 'node-opcua';

export { DataType, VariantArrayType };

setErrorLogger(() => undefined);
setWarningLogger(() => undefined);

/** A bare server, to give the driver what the simulator never would. */
export interface BareServer extends AsyncDisposable {
  readonly server: OPCUAServer;
  readonly endpointUrl: string;
  variable(name: string, value: VariantOptions): UAVariable;
}

export async function bareServer(
  directory: string,
  options: { maxMonitoredItemsPerCall?: number } = {},
): Promise<BareServer> {
  const server = new OPCUAServer({
    host: '127.0.0.1',
    hostname: '127.0.0.1',
    port: 0,
    nodeset_filename: [nodesets.standard],
    serverCertificateManager: new OPCUACertificateManager({
      rootFolder: join(directory, 'server'),
      automaticallyAcceptUnknownCertificate: true,
      disableFileWatchers: true,
    }),
    userCertificateManager: new OPCUACertificateManager({
      rootFolder: join(directory, 'users'),
      disableFileWatchers: true,
    }),
    securityPolicies: [SecurityPolicy.None],
    securityModes: [MessageSecurityMode.None],
    serverCapabilities: {
      operationLimits: { maxMonitoredItemsPerCall: options.maxMonitoredItemsPerCall ?? 0 },
    },
  });
  await server.initialize();
  const namespace = server.engine.addressSpace!.getOwnNamespace();
  await server.start();
  return {
    server,
    endpointUrl: `opc.tcp://127.0.0.1:${server.endpoints[0]!.port}`,
    variable(name, value) {
      const variable = namespace.addVariable({
        organizedBy: server.engine.addressSpace!.rootFolder.objects,
        browseName: name,
        nodeId: `s=${name}`,
        dataType: value.dataType as DataType,
        valueRank: -2,
        minimumSamplingInterval: 50,
      });
      variable.setValueFromSource(value);
      return variable;
    },
    async [Symbol.asyncDispose]() {
      await server.shutdown(0);
      server.dispose();
    },
  };
}
