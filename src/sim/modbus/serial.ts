import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type { ModbusChannel } from '../../config/model.ts';

type SerialSettings = Omit<Extract<ModbusChannel, { kind: 'rtu' }>, 'kind' | 'device'>;

/** The part of the serial port class that is used. */
interface SerialPortClass {
  new (
    options: SerialSettings & { readonly path: string; readonly autoOpen: false },
  ): Duplex & { open(done: (error: Error | null) => void): void; close(done: () => void): void };
}

/** An open serial port. */
export interface OpenSerialPort {
  readonly stream: Duplex;
  close(): Promise<void>;
}

/** Opens a serial port through the package that the Modbus library itself uses for it. */
export async function openSerialPort(path: string, settings: SerialSettings): Promise<OpenSerialPort> {
  const ofLibrary = createRequire(createRequire(import.meta.url).resolve('modbus-serial'));
  const { SerialPort }: { SerialPort: SerialPortClass } = ofLibrary('serialport');
  const port = new SerialPort({ ...settings, path, autoOpen: false });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
  port.on('error', () => {});
  return {
    stream: port,
    close: () => new Promise((resolve) => port.close(() => resolve())),
  };
}
