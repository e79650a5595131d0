export * from '@rwkv-ts/program';
export { createRandomWeights, type RandomWeightsOptions } from './random-weights.js';
export { type Draw, normal, Random, uniform } from './random.js';
