// One line a module, so that several people can add modules at once.
export { magicPrime } from './data/magic-prime.js';
