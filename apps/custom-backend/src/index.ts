export { createCustomBackend } from './backend.js';
