/**
 * A table of labelled rows as few conjunctions: rows that agree in enough variables share one. A tree is grown by
 * information gain, equal subtrees are merged, and each path to a leaf is a conjunction. Rows that are not in the table
 * are don't-cares.
 */

/** A variable: its value in every row. */
export interface TableVariable {
  readonly values: Uint16Array;
}

export interface Condition {
  readonly variable: number;
  /** True when the variable has one of these. Sorted. */
  readonly values: readonly number[];
}

/** True of some rows, which all have this label. Every row of the table meets exactly one. */
export interface Conjunction {
  readonly conditions: readonly Condition[];
  readonly label: number;
}

interface Branch {
  readonly variable: number;
  readonly children: readonly { readonly values: readonly number[]; readonly node: Node }[];
}
interface Node {
  /** Equal subtrees have equal ids. */
  readonly id: number;
  readonly content: number | Branch;
}

export function conjunctionsOf(
  variables: readonly TableVariable[],
  labels: Uint16Array,
): Conjunction[] {
  const grower = new Grower(variables, labels);
  const rows = Uint32Array.from(labels.keys());
  const found: Conjunction[] = [];
  const walk = ({ content }: Node, conditions: readonly Condition[]): void => {
    if (typeof content === 'number') found.push({ conditions, label: content });
    else {
      for (const { values, node } of content.children) {
        walk(node, [...conditions, { variable: content.variable, values }]);
      }
    }
  };
  if (rows.length > 0)
    walk(
      grower.grow(
        rows,
        variables.map((_, variable) => variable),
      ),
      [],
    );
  return found;
}

class Grower {
  readonly #variables: readonly TableVariable[];
  readonly #labels: Uint16Array;
  readonly #nodes = new Map<string, Node>();

  constructor(variables: readonly TableVariable[], labels: Uint16Array) {
    this.#variables = variables;
    this.#labels = labels;
  }

  grow(rows: Uint32Array, free: readonly number[]): Node {
    const label = this.#labels[rows[0]!]!;
    if (rows.every((row) => this.#labels[row] === label)) return this.#intern(`=${label}`, label);
    let best = free[0]!;
    let least = Infinity;
    for (const variable of free) {
      const left = this.#uncertainty(rows, variable);
      if (left < least) [best, least] = [variable, left];
    }
    const rest = free.filter((variable) => variable !== best);
    const grown = new Map<Node, number[]>();
    for (const [value, part] of this.#split(rows, best)) {
      const node = this.grow(part, rest);
      grown.set(node, [...(grown.get(node) ?? []), value]);
    }
    // A variable that decides nothing.
    if (grown.size === 1) return [...grown.keys()][0]!;
    const children = [...grown].map(([node, values]) => ({
      node,
      values: values.sort((a, b) => a - b),
    }));
    const key = children.map(({ node, values }) => `${values.join()}:${node.id}`).sort();
    return this.#intern(`${best}?${key.join(' ')}`, { variable: best, children });
  }

  #intern(key: string, content: number | Branch): Node {
    const known = this.#nodes.get(key);
    if (known) return known;
    const node = { id: this.#nodes.size, content };
    this.#nodes.set(key, node);
    return node;
  }

  #split(rows: Uint32Array, variable: number): Map<number, Uint32Array> {
    const { values } = this.#variables[variable]!;
    const parts = new Map<number, number[]>();
    for (const row of rows) {
      const part = parts.get(values[row]!);
      if (part) part.push(row);
      else parts.set(values[row]!, [row]);
    }
    return new Map(
      [...parts].sort(([a], [b]) => a - b).map(([value, part]) => [value, Uint32Array.from(part)]),
    );
  }

  /** Entropy of the label given the variable, times the number of rows. */
  #uncertainty(rows: Uint32Array, variable: number): number {
    const { values } = this.#variables[variable]!;
    const counts = new Map<number, number>();
    const totals = new Map<number, number>();
    for (const row of rows) {
      const value = values[row]!;
      const key = value * 65536 + this.#labels[row]!;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      totals.set(value, (totals.get(value) ?? 0) + 1);
    }
    let sum = 0;
    for (const count of totals.values()) sum += count * Math.log2(count);
    for (const count of counts.values()) sum -= count * Math.log2(count);
    return sum;
  }
}
