import { convertFormat, decode, encode } from '@rwkv-ts/formats';

const weights = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)); // a matrix [2, 32]
const bytes = encode('q4_0', weights); // 36 bytes: two blocks of 18
const rounded = decode('q4_0', bytes); // the numbers every backend computes with

// A backend that claims q8_0 but not q4_0 gets exactly the same numbers in q8_0.
const upload = convertFormat({ format: 'q4_0', shape: [2, 32], bytes }, new Set(['q8_0', 'f32']));

export { bytes, rounded, upload };
