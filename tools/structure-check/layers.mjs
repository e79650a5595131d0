/**
 * The import direction of the packages: each key may import the packages listed, and no other package of rwkv-ts.
 * No package imports a `backend-*`, and only apps, tests, `backend-kit` (its conformance suite) and `train` import
 * `reference`. ESLint and the structure check both read this table.
 */
const base = ['backend'];
export const allowedImports = {
  backend: [],
  formats: base,
  program: base,
  model: base,
  reference: ['backend', 'formats', 'program'],
  native: ['backend', 'program'],
  'backend-cpu': ['backend', 'formats', 'native', 'program'],
  'backend-webgpu': ['backend', 'formats', 'program'],
  'backend-cuda': ['backend', 'formats', 'native', 'program'],
  'backend-kit': ['backend', 'formats', 'model', 'program', 'reference'],
  weights: ['backend', 'formats', 'model'],
  tokenizer: base,
  sampler: base,
  hub: ['backend', 'weights'],
  generate: ['backend', 'formats', 'hub', 'model', 'program', 'sampler', 'tokenizer', 'weights'],
  train: ['backend', 'formats', 'model', 'program', 'sampler', 'tokenizer', 'weights'],
  'demo-model': [],
};
