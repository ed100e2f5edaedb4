import type { TlsMaterial } from './transport.ts';

/** Where the certificates of one side lie: absolute paths of PEM files. */
export interface TlsFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly crl: string;
  /** The file was not named: it is used if it is there. */
  readonly isCrlOptional: boolean;
}

/** The door to files of keys and certificates. */
export interface TlsFileAccess {
  /** A text that changes whenever the file does; `null` if there is none. */
  stamp(path: string): Promise<string | null>;
  /** @throws KomError KOM_TLS_FILE */
  read(path: string): Promise<TlsFileContent>;
  /** @throws KomError KOM_TLS_FILE, KOM_TLS_KEY if TLS cannot work with it */
  check(material: TlsMaterial): Promise<void>;
}

export interface TlsFileContent {
  readonly text: string;
  /** Integer µs. */
  readonly modifiedUs: number;
  /** Others than the owner may read it. */
  readonly isOpenToOthers: boolean;
}
