// tsc copies no data files; the contract of the uplink is read from its .proto at run time.
import { cpSync } from 'node:fs';

cpSync('src/uplink/kernel.proto', 'dist/uplink/kernel.proto');
