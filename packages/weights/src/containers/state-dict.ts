import type { MetadataValue } from '../raw-file.js';
import { invalid, pickleRefused } from './failures.js';
import { limits } from './limits.js';
import { kindOf } from './pickle-values.js';
import type { PickleDict, PickleTensor, PickleValue } from './pickle-values.js';

export interface StateDict {
  readonly tensors: ReadonlyMap<string, PickleTensor>;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}

/** Where training scripts put the weights among other things. */
const wrappers = ['state_dict', 'model_state_dict', 'module', 'model'];

/**
 * The tensors of a pickled dict, or of the dict it wraps as `state_dict`, whichever has more (a checkpoint may keep a
 * random generator's state beside its `state_dict`), and the scalars beside them as metadata. Optimizer states and other
 * nested things are left out.
 * @param file for errors
 * @throws WeightsError `CONTAINER_INVALID`, `PICKLE_REFUSED`
 */
export function stateDictOf(root: PickleValue, file: string): StateDict {
  if (!isDict(root)) {
    throw invalid(file, `it holds ${kindOf(root)}, where a dict of tensors is expected`, {
      expected: 'dict',
      got: kindOf(root),
    });
  }
  const budget = { file, left: limits.pickleMetadataValues };
  const outer = splitDict(root, budget);
  for (const wrapper of wrappers) {
    const inner = root.entries.get(wrapper);
    if (!isDict(inner)) continue;
    const { tensors, metadata } = splitDict(inner, budget);
    if (tensors.size > outer.tensors.size)
      return { tensors, metadata: new Map([...outer.metadata, ...metadata]) };
  }
  if (outer.tensors.size > 0) return outer;
  throw invalid(file, `it holds no tensors, neither in its dict nor under ${wrappers.join(', ')}`);
}

interface Budget {
  readonly file: string;
  left: number;
}

function splitDict({ entries }: PickleDict, budget: Budget): StateDict {
  const tensors = new Map<string, PickleTensor>();
  const metadata = new Map<string, MetadataValue>();
  for (const [key, value] of entries) {
    const tensor = typeof value === 'object' && value?.kind === 'tensor' ? value : undefined;
    if (typeof key !== 'string') {
      if (tensor !== undefined)
        throw invalid(
          budget.file,
          `it has a tensor under the key ${String(key)}, which is no name`,
        );
      continue;
    }
    if (tensor !== undefined) {
      tensors.set(key, tensor);
      continue;
    }
    const scalar = metadataOf(value, budget, 0);
    if (scalar !== undefined) metadata.set(key, scalar);
  }
  return { tensors, metadata };
}

/** Undefined for what metadata cannot hold. Lists may share parts or contain themselves: depth and number are bounded. */
function metadataOf(value: PickleValue, budget: Budget, depth: number): MetadataValue | undefined {
  budget.left--;
  if (budget.left < 0) {
    throw pickleRefused(
      budget.file,
      `its pickle has more than ${limits.pickleMetadataValues} values beside the tensors`,
      {
        expected: limits.pickleMetadataValues,
      },
    );
  }
  if (value === null) return undefined;
  if (typeof value !== 'object') return value;
  if ((value.kind !== 'list' && value.kind !== 'tuple') || depth >= limits.metadataDepth)
    return undefined;
  const items: MetadataValue[] = [];
  for (const item of value.items) {
    const converted = metadataOf(item, budget, depth + 1);
    // A list with a hole would be another list.
    if (converted === undefined) return undefined;
    items.push(converted);
  }
  return items;
}

function isDict(value: PickleValue | undefined): value is PickleDict {
  return typeof value === 'object' && value !== null && value.kind === 'dict';
}
