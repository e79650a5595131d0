import { explain } from '../protocol/explain.js';
import { type ServerPort, serve, teller } from '../protocol/server.js';
import { Engine } from './engine.js';

const port = globalThis as unknown as ServerPort;
serve(port, { handlers: new Engine(teller(port)).handlers, explain });
