import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test } from 'vitest';
import { createCustomBackend } from './index.js';

// The same loops with values stored as f16: the suite's tolerances follow `supports.activations`, and must be wide enough.
runConformance({ describe, test, create: () => createCustomBackend({ activations: 'f16' }) });
