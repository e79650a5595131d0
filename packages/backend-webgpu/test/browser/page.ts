/** What the tests do in the browser: the cases of the conformance suite, and models opened by URL. */
import type { Backend, Batch, Executable, Limits, Rows, States, StateSpec } from '@rwkv-ts/backend';
import { type CaseOutcome, listConformanceCases } from '@rwkv-ts/backend-kit/conformance';
import { createWebGpuBackend, type Fallback, type WebGpuTier } from '@rwkv-ts/backend-webgpu';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { httpSource, openModel } from '@rwkv-ts/weights';
import { greedyTokens } from '../greedy.js';

export interface OpenOptions {
  readonly url: string;
  readonly tier: WebGpuTier;
  readonly slots: number;
  readonly limits: Limits;
  readonly overrides?: Partial<RwkvConfig>;
}

interface Opened {
  readonly backend: Backend;
  readonly states: States;
  readonly executable: Executable;
}

const models: Opened[] = [];
const devices = new Map<WebGpuTier, Promise<GPUDevice>>();
const reports = new Set<() => readonly Fallback[]>();

/** Backends of a tier share a device, and its pipelines. */
async function create(tier: WebGpuTier) {
  const device = devices.get(tier) ?? openDevice(tier);
  devices.set(tier, device);
  const backend = await createWebGpuBackend({ device: await device, tier });
  reports.add(() => backend.fallbacks);
  return backend;
}

async function openDevice(tier: WebGpuTier): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  const requiredFeatures: GPUFeatureName[] = tier === 'plain' ? [] : ['subgroups'];
  return adapter!.requestDevice({ requiredFeatures });
}

const casesOf = (tier: WebGpuTier) => listConformanceCases({ create: () => create(tier) });
const cases = { plain: casesOf('plain'), subgroups: casesOf('subgroups') };

const page = {
  /** Its name and the tiers it has, best first; none where the browser has no adapter. */
  adapter: async (): Promise<{ name: string; tiers: WebGpuTier[] } | undefined> => {
    const { gpu } = navigator as { gpu?: GPU };
    const adapter = await gpu?.requestAdapter();
    if (!adapter) return undefined;
    const { vendor, architecture, description } = adapter.info;
    const subgroups: WebGpuTier[] = adapter.features.has('subgroups') ? ['subgroups'] : [];
    const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed';
    return { name, tiers: [...subgroups, 'plain'] };
  },
  runCase: ({ tier, index }: { tier: WebGpuTier; index: number }): Promise<CaseOutcome> =>
    cases[tier][index]!.run(),
  /** Kernels that any backend of the page replaced. */
  fallbacks: (): Fallback[] => [...reports].flatMap((report) => report()),
  open: async (options: OpenOptions): Promise<{ model: number; states: readonly StateSpec[] }> => {
    const { url, tier, slots, limits, overrides = {} } = options;
    const backend = await create(tier);
    await using source = await httpSource(new URL(url, location.href));
    await using file = await openModel(source, { overrides });
    const program = buildProgram(file.config);
    const claimed = backend.supports.weightFormats;
    const weights = await backend.upload(file.weights({ claimed }));
    const states = await backend.createStates(program.states, slots);
    const executable = await backend.compile(program, { weights, states }, limits);
    models.push({ backend, states, executable });
    return { model: models.length - 1, states: program.states };
  },
  run: ({ model, batch }: { model: number; batch: Batch }): Promise<Rows> =>
    models[model]!.executable.run(batch),
  reset: ({ model, slot }: { model: number; slot: number }): void => {
    models[model]!.states.reset(slot);
  },
  readState: ({ model, slot }: { model: number; slot: number }): Promise<Uint8Array> =>
    models[model]!.states.read(slot),
  close: async ({ model }: { model: number }): Promise<void> => {
    await models[model]!.backend[Symbol.asyncDispose]();
  },
  /** Most likely tokens after a prompt in slot 0. */
  greedy: async (options: { model: number; prompt: number[]; count: number }): Promise<number[]> =>
    greedyTokens(models[options.model]!.executable, options),
};
export type TestPage = typeof page;
Object.assign(globalThis, { page });
