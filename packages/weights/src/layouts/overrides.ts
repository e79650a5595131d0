/** Lets a person correct what a file cannot say, for example the epsilon of models that rwkv.cpp trained its tests on. */
import { ModelError, type RwkvConfig, validateConfig } from '@rwkv-ts/model';
import { WeightsError } from '../errors.js';
import type { JsonObject, LayoutFacts } from './types.js';

/** Fields of `RwkvConfig` by name; numbers may come as text, as a command line gives them. Which ones exist depends on the version. */
export type ConfigOverrides = Readonly<
  Partial<
    Record<
      | 'layers'
      | 'channels'
      | 'channelMixSize'
      | 'vocabularySize'
      | 'normEpsilon'
      | 'headNormEpsilon'
      | 'heads'
      | 'headSize'
      | 'deepEmbedSize'
      | 'embeddingNorm'
      | 'decayForm'
      | 'bonusForm',
      number | string
    >
  >
>;

const choices: Readonly<Record<string, readonly string[]>> = {
  embeddingNorm: ['separate', 'folded'],
  decayForm: ['official', 'applied'],
  bonusForm: ['exp', 'plain'],
};

function invalid(field: string, { expected, got }: { expected: string; got: unknown }): never {
  throw new ModelError({
    code: 'CONFIG_INVALID',
    message: `The override ${field} must be ${expected}, got ${String(got)}.`,
    expected,
    got,
  });
}

function parse(field: string, value: unknown): string | number {
  const allowed = choices[field];
  if (allowed) {
    if (typeof value === 'string' && allowed.includes(value)) return value;
    return invalid(field, { expected: `one of ${allowed.join(', ')}`, got: value });
  }
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  return invalid(field, { expected: 'a number', got: value });
}

/** @throws ModelError `CONFIG_INVALID`, with the fields of this version where the name is unknown */
export function applyOverrides(config: RwkvConfig, overrides: ConfigOverrides): RwkvConfig {
  const fields = Object.keys(config).filter((field) => field !== 'version' && field !== 'ranks');
  const changes: Record<string, string | number> = {};
  for (const [field, value] of Object.entries(overrides)) {
    // Callers in JavaScript and command lines may pass undefined for "not given".
    if ((value as unknown) === undefined) continue;
    if (!fields.includes(field)) {
      throw new ModelError({
        code: 'CONFIG_INVALID',
        message: `An RWKV-${config.version} model has no field ${field} to override; it has ${fields.join(', ')}.`,
        expected: fields,
        got: field,
      });
    }
    changes[field] = parse(field, value);
  }
  const { heads, headSize } = changes;
  if (heads !== undefined && headSize === undefined)
    changes['headSize'] = config.channels / Number(heads);
  if (headSize !== undefined && heads === undefined)
    changes['heads'] = config.channels / Number(headSize);
  const changed = { ...config, ...changes };
  validateConfig(changed);
  return changed;
}

function epsilonOf(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 && value < 1 ? value : undefined;
}

/** GroupNorm(x / divisor) with epsilon 1e-5, as the v5 and v6 classes compute it, is GroupNorm(x) with 1e-5 · divisor². */
function dividedEpsilon(divisor: unknown): number | undefined {
  return typeof divisor === 'number'
    ? epsilonOf(Number((1e-5 * divisor * divisor).toPrecision(10)))
    : undefined;
}

/** What a Hugging Face config.json says that tensors do not: epsilons. Contradicting sizes lose against the tensors. */
export function factsOfConfigJson(json: JsonObject | undefined): LayoutFacts {
  if (json === undefined) return {};
  const normEpsilon = epsilonOf(json['norm_eps']) ?? epsilonOf(json['layer_norm_epsilon']);
  const headNormEpsilon =
    epsilonOf(json['group_norm_epsilon']) ?? dividedEpsilon(json['head_size_divisor']);
  const layers = json['num_hidden_layers'];
  return {
    ...(normEpsilon === undefined ? {} : { normEpsilon }),
    ...(headNormEpsilon === undefined ? {} : { headNormEpsilon }),
    ...(typeof layers === 'number' && Number.isSafeInteger(layers) && layers > 0 ? { layers } : {}),
  };
}

/** Key of safetensors metadata under which `writeSafetensors` keeps the fields that tensors do not tell. */
export const configMetadataKey = 'rwkv.config';

function oneOf<Choice extends string>(
  value: unknown,
  allowed: readonly Choice[],
): Choice | undefined {
  return allowed.find((choice) => choice === value);
}

/**
 * The facts our own writers leave in a file's metadata.
 * @throws WeightsError `CONTAINER_INVALID` when the key is there and is no JSON object
 */
export function factsOfMetadata(text: unknown, file: string): LayoutFacts {
  if (typeof text !== 'string') return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    json = cause;
  }
  if (typeof json !== 'object' || json === null || json instanceof Error) {
    throw new WeightsError({
      code: 'CONTAINER_INVALID',
      message: `${file}: the metadata ${configMetadataKey} is no JSON object.`,
      expected: 'a JSON object',
      got: text.slice(0, 100),
    });
  }
  const object = json as JsonObject;
  const facts = {
    normEpsilon: epsilonOf(object['normEpsilon']),
    headNormEpsilon: epsilonOf(object['headNormEpsilon']),
    embeddingNorm: oneOf(object['embeddingNorm'], ['separate', 'folded']),
    bonusForm: oneOf(object['bonusForm'], ['exp', 'plain']),
  };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}
