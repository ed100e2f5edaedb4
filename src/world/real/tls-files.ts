import { readFile, stat } from 'node:fs/promises';
import { describeError, KomError } from '../../domain/errors.ts';
import type { TlsFileAccess, TlsFileContent } from '../tls-files.ts';

const GROUP_WRITE_OR_OTHERS = 0o027;

/** Files of keys and certificates of this machine. */
export const realTlsFiles: TlsFileAccess = {
  async stamp(path) {
    const found = await stat(path, { bigint: true }).catch(() => null);
    return found === null ? null : `${found.ino} ${found.size} ${found.mtimeNs}`;
  },
  async read(path): Promise<TlsFileContent> {
    try {
      const { mtimeMs, mode } = await stat(path);
      const text = await readFile(path, 'utf8');
      return { text, modifiedUs: Math.floor(mtimeMs * 1000), isOpenToOthers: isOpen(mode) };
    } catch (cause) {
      throw new KomError('KOM_TLS_FILE', path, {
        got: describeError(cause),
        hint: 'kom pki init makes it; its table says where it belongs',
        cause,
      });
    }
  },
  async check(material) {
    // Not before somebody has certificates: TLS takes 3 MB of memory.
    const { secureContextOf } = await import('./tls.ts');
    secureContextOf(material);
  },
};

/** A group that may read is how a service gets at a key of root; whoever may write can replace it. */
function isOpen(mode: number): boolean {
  return (mode & GROUP_WRITE_OR_OTHERS) !== 0;
}
