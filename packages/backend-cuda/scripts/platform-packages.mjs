/** Packs this package's addons, and names them in package.json at release; see packages/native/scripts/platform-packages.mjs. */
import { platformPackagesCommand } from '../../native/scripts/platform-packages.mjs';
import { addon } from './addon.mjs';
import { packageFolder } from './build-native.mjs';

process.exit(platformPackagesCommand({ ...addon, packageFolder }));
