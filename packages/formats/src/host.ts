/** Typed arrays have the host's byte order, files are little-endian: whole-array copies are allowed only where the two agree. */
export const hostIsLittleEndian: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
