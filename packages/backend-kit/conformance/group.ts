/** Turns case definitions into cases that run in any order, alone or together, and share one backend per group. */
import type { Backend } from '@rwkv-ts/backend';
import type {
  CaseContext,
  CaseDefinition,
  CaseOutcome,
  ConformanceCase,
  ConformanceOptions,
} from './types.js';

class Skip extends Error {}

/** The backend of a group: made for its first case, disposed of after its last. */
class SharedBackend {
  readonly #create: ConformanceOptions['create'];
  readonly #cases: number;
  #backend: Promise<Backend> | undefined;
  #finished = 0;

  constructor(create: ConformanceOptions['create'], cases: number) {
    this.#create = create;
    this.#cases = cases;
  }

  get(): Promise<Backend> {
    this.#backend ??= Promise.resolve(this.#create());
    return this.#backend;
  }

  /** A case has ended. When some are never run, the backend lives as long as the process. */
  async release(): Promise<void> {
    this.#finished++;
    if (this.#finished < this.#cases) return;
    this.#finished = 0;
    const backend = this.#backend;
    this.#backend = undefined;
    await (await backend)?.[Symbol.asyncDispose]();
  }
}

interface CaseTools {
  readonly shared: SharedBackend;
  readonly create: ConformanceOptions['create'];
}

async function attempt(definition: CaseDefinition, context: CaseContext): Promise<CaseOutcome> {
  try {
    await definition.run(context);
    return {};
  } catch (error) {
    if (error instanceof Skip) return { skipped: error.message };
    throw error;
  }
}

async function runCase(
  definition: CaseDefinition,
  { shared, create }: CaseTools,
): Promise<CaseOutcome> {
  const fresh: Backend[] = [];
  const cleanUp = async () => {
    for (const backend of fresh) await backend[Symbol.asyncDispose]();
    await shared.release();
  };
  let outcome: CaseOutcome;
  try {
    outcome = await attempt(definition, {
      backend: await shared.get(),
      create: async () => {
        const backend = await create();
        fresh.push(backend);
        return backend;
      },
      skip: (reason) => {
        throw new Skip(reason);
      },
    });
  } catch (error) {
    // What the case found says more than what cleaning up after it runs into.
    await cleanUp().catch(() => undefined);
    throw error;
  }
  await cleanUp();
  return outcome;
}

export function listGroup(
  group: ConformanceCase['group'],
  definitions: readonly CaseDefinition[],
  { create }: Pick<ConformanceOptions, 'create'>,
): ConformanceCase[] {
  const shared = new SharedBackend(create, definitions.length);
  return definitions.map((definition) => ({
    group,
    name: definition.name,
    run: () => runCase(definition, { shared, create }),
  }));
}
