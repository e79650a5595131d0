// What only Node can do. One line a module, so that several people can add modules at once.
export { createTokenFiles, openTokenFiles, tokenFilesPrefix } from './data/token-files.node.js';
export { folderCheckpoints } from './checkpoint/folder-checkpoints.node.js';
