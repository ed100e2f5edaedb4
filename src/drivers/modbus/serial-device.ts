import { access, constants, stat } from 'node:fs/promises';
import { describeError, KomError } from '../../domain/errors.ts';

/**
 * Looks whether a serial port is there and may be used, without opening it: that could change the lines of
 * the port, on which somebody may depend.
 * @throws KomError KOM_DEVICE_UNREACHABLE
 */
export async function checkSerialDevice(line: string, device: string): Promise<void> {
  const where = `line ${line} at ${device}`;
  let isCharacterDevice: boolean;
  try {
    isCharacterDevice = (await stat(device)).isCharacterDevice();
    await access(device, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new KomError('KOM_DEVICE_UNREACHABLE', where, { got: describeError(cause), cause });
  }
  if (isCharacterDevice) return;
  throw new KomError('KOM_DEVICE_UNREACHABLE', where, { expected: 'a serial port', got: 'something else' });
}
