/** What only Node can do: files. */
export { fileSink, fileSource } from './sources/index.node.js';
