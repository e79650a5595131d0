import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test } from 'vitest';
import { createCustomBackend } from './index.js';

// The whole suite: op by op, format by format, states, batches, models, lifecycle and errors.
runConformance({ describe, test, create: () => createCustomBackend() });
