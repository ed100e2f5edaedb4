import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describeError, KomError } from '../domain/errors.ts';
import type { PkiFolder } from '../pki/authority.ts';

const SECRET_MODE = 0o600;
const OPEN_MODE = 0o644;
/** Folders that hold keys: nobody else may look in. */
const DIRECTORY_MODE = 0o700;

/** The directory of an authority on this machine. @throws KomError KOM_TLS_FILE from each method */
export function pkiFolder(root: string): PkiFolder {
  return {
    read: (path) =>
      attempt(join(root, path), (full) => (existsSync(full) ? readFileSync(full, 'utf8') : null)),
    write: (path, text, { isSecret = false, replace = false } = {}) =>
      attempt(join(root, path), (full) => {
        mkdirSync(dirname(full), { recursive: true, mode: DIRECTORY_MODE });
        const mode = isSecret ? SECRET_MODE : OPEN_MODE;
        if (!replace) {
          writeFileSync(full, text, { mode, flag: 'wx' });
          return;
        }
        // At once or not at all: an agent may be reading it.
        writeFileSync(`${full}.new`, text, { mode });
        chmodSync(`${full}.new`, mode);
        renameSync(`${full}.new`, full);
      }),
    list: (path) => attempt(join(root, path), (full) => (existsSync(full) ? readdirSync(full).sort() : [])),
    move: (from, to) =>
      attempt(join(root, to), (full) => {
        mkdirSync(dirname(full), { recursive: true, mode: DIRECTORY_MODE });
        renameSync(join(root, from), full);
      }),
  };
}

function attempt<T>(path: string, action: (path: string) => T): T {
  try {
    return action(path);
  } catch (cause) {
    throw new KomError('KOM_TLS_FILE', path, { got: describeError(cause), cause });
  }
}
