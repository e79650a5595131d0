import { deflateRawSync } from 'node:zlib';
import { ByteWriter } from './byte-writer.js';

export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly method?: 'stored' | 'deflated';
}

export interface ZipOptions {
  /** Pads local headers so that bytes start at a multiple; PyTorch uses 64. Default 1. */
  readonly alignment?: number;
  /** Writes sizes, offsets and the end record in their 64-bit form. */
  readonly form?: 'plain' | 'zip64';
}

interface Written {
  readonly name: Uint8Array;
  readonly method: number;
  readonly crc: number;
  readonly size: number;
  readonly packed: Uint8Array;
  readonly offset: number;
}

const saturated = 0xffffffff;

export function writeZip(
  files: readonly ZipFile[],
  { alignment = 1, form = 'plain' }: ZipOptions = {},
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  const written: Written[] = [];
  for (const file of files) {
    const deflated = file.method === 'deflated';
    const packed = deflated ? deflateRawSync(file.bytes) : file.bytes;
    const entry: Written = {
      name: new TextEncoder().encode(file.name),
      method: deflated ? 8 : 0,
      crc: checksum(file.bytes),
      size: file.bytes.length,
      packed,
      offset: writer.length,
    };
    writeLocal(writer, entry, alignment);
    written.push(entry);
  }
  const directory = writer.length;
  for (const entry of written) writeCentral(writer, entry, form);
  writeEnd(writer, { directory, count: files.length, form });
  return writer.finish();
}

function writeLocal(writer: ByteWriter, entry: Written, alignment: number): void {
  const { name, method, crc, size, packed } = entry;
  const bare = writer.length + 30 + name.length;
  // An extra field takes at least its own 4 bytes of header.
  const padding = alignment === 1 ? 0 : ((alignment - ((bare + 4) % alignment)) % alignment) + 4;
  writer.u32(0x04034b50).u16(20, 0, method, 0, 0).u32(crc, packed.length, size);
  writer.u16(name.length, padding).bytes(name);
  if (padding > 0)
    writer
      .text('FB')
      .u16(padding - 4)
      .bytes(new Uint8Array(padding - 4).fill(0x5a));
  writer.bytes(packed);
}

function writeCentral(writer: ByteWriter, entry: Written, form: 'plain' | 'zip64'): void {
  const { name, method, crc, size, packed, offset } = entry;
  const wide = form === 'zip64';
  writer.u32(0x02014b50).u16(45, 20, 0, method, 0, 0).u32(crc);
  writer.u32(wide ? saturated : packed.length, wide ? saturated : size);
  writer
    .u16(name.length, wide ? 28 : 0, 0, 0, 0)
    .u32(0, wide ? saturated : offset)
    .bytes(name);
  if (wide) writer.u16(1, 24).u64(size, packed.length, offset);
}

interface End {
  readonly directory: number;
  readonly count: number;
  readonly form: 'plain' | 'zip64';
}

function writeEnd(writer: ByteWriter, { directory, count, form }: End): void {
  const end = writer.length;
  const size = end - directory;
  const wide = form === 'zip64';
  if (wide) {
    writer.u32(0x06064b50).u64(44).u16(45, 45).u32(0, 0).u64(count, count, size, directory);
    writer.u32(0x07064b50, 0).u64(end).u32(1);
  }
  writer.u32(0x06054b50).u16(0, 0, wide ? 0xffff : count, wide ? 0xffff : count);
  writer.u32(wide ? saturated : size, wide ? saturated : directory).u16(0);
}

/** CRC-32 as ZIP has it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}
