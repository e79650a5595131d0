/**
 * The conformance suite of the backend contract. Eight lines run it:
 *
 * ```ts
 * import { describe, test } from 'vitest'; // or from 'node:test'
 * import { runConformance } from '@rwkv-ts/backend-kit/conformance';
 * import { createMyBackend } from './index.js';
 *
 * runConformance({ describe, test, create: () => createMyBackend() });
 * ```
 */
import { benchCases } from './bench.js';
import { candidateCases } from './candidates.js';
import { errorCases } from './errors.js';
import { formatCases } from './formats.js';
import { listGroup } from './group.js';
import { lifecycleCases } from './lifecycle.js';
import { manifestCases } from './manifest.js';
import { modelCases } from './models.js';
import { opCases } from './ops.js';
import { raggedCases } from './ragged.js';
import { sizeCases } from './sizes.js';
import { stateCases } from './state.js';
import { trainingCases } from './training/index.js';
import {
  type CaseDefinition,
  type ConformanceCase,
  type ConformanceGroup,
  conformanceGroups,
  type ConformanceOptions,
} from './types.js';

export { ConformanceError } from './assert.js';
export {
  type BenchResult,
  type CaseOutcome,
  type ConformanceCase,
  type ConformanceGroup,
  conformanceGroups,
  type ConformanceOptions,
} from './types.js';
export { logitsBound, opBound } from './tolerance.js';
export { tinyModels, type TinyModel } from './tiny-models.js';

/** What of a test runner the suite uses: vitest's and node:test's functions fit, and so does any that can skip. */
export interface TestRunner {
  readonly describe: (name: string, define: () => void) => unknown;
  readonly test: (name: string, run: (context: TestContext) => Promise<void>) => unknown;
}

interface TestContext {
  readonly skip: (reason?: string) => unknown;
}

const groups: { readonly [G in ConformanceGroup]: readonly CaseDefinition[] } = {
  manifest: manifestCases,
  ops: opCases,
  formats: formatCases,
  state: stateCases,
  ragged: [...raggedCases, ...candidateCases],
  models: modelCases,
  sizes: sizeCases,
  lifecycle: lifecycleCases,
  errors: errorCases,
  training: trainingCases,
};

/** The cases themselves, for running them without a test runner. Nothing runs until a case's `run` is called. */
export function listConformanceCases(options: ConformanceOptions): ConformanceCase[] {
  if (options.mode === 'bench') return listGroup('bench', benchCases(options.report), options);
  const chosen = options.groups ?? conformanceGroups;
  return conformanceGroups
    .filter((group) => chosen.includes(group))
    .flatMap((group) => listGroup(group, groups[group], options));
}

/** Registers one `describe` per group and one `test` per case. A case that does not apply is reported as skipped. */
export function runConformance({
  describe,
  test,
  ...options
}: TestRunner & ConformanceOptions): void {
  const cases = listConformanceCases(options);
  for (const group of new Set(cases.map((one) => one.group))) {
    describe(`conformance: ${group}`, () => {
      for (const { name, run } of cases.filter((one) => one.group === group)) {
        test(name, async (context) => {
          const { skipped } = await run();
          if (skipped !== undefined) context.skip(skipped);
        });
      }
    });
  }
}
