/**
 * What a binding.gyp asks by command line, as text that gyp splits at spaces outside quotes:
 *
 *   'include_dirs': ['<!@(node -p "require(\'@rwkv-ts/native/gyp\').includeFolders")'],
 *   'ldflags': ['-Wl,--version-script=<!(node -p "require(\'@rwkv-ts/native/gyp\').exportsMap")'],      on Linux
 */
const { dirname, join } = require('node:path');

// Backslashes would be taken as escapes.
const asText = (path) => `"${path.replaceAll('\\', '/')}"`;

/** Of this package's headers and of node-addon-api, which they include. */
exports.includeFolders = [
  join(__dirname, 'include'),
  dirname(require.resolve('node-addon-api/package.json')),
]
  .map(asText)
  .join(' ');

/** What an addon shows to others, for the linker. */
exports.exportsMap = join(__dirname, 'exports.map');
