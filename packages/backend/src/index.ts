export type * from './backend.js';
export type * from './batch.js';
export type * from './program.js';
export type * from './training.js';
export type * from './weights.js';
export * from './errors.js';
