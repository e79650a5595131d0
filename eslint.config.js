import { readdirSync } from 'node:fs';
import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';
import { allowedImports } from './tools/structure-check/layers.mjs';

// Import direction: each package may import only the packages below it (tools/structure-check/layers.mjs).
const directions = Object.entries(allowedImports).map(([name, allowed]) => ({
  files: [`packages/${name}/src/**/*.ts`, `packages/${name}/conformance/**/*.ts`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^@rwkv-ts/(?!(?:${[name, ...allowed].join('|')})(?:/|$))`,
            message: `packages/${name} may import only: ${allowed.join(', ') || 'nothing of rwkv-ts'}.`,
          },
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '**/.turbo/**', 'bench/**'] },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // Typed-array loops index within bounds they computed; `!` says so without a run-time branch in a kernel.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // The interface is asynchronous even where an implementation is not.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'] }],
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '**/*.js'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        performance: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { __dirname: 'readonly', exports: 'writable', require: 'readonly' },
    },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  ...directions,
  {
    // Anything that runs in a browser uses no `node:` import; a Node-only file is a `*.node.ts` behind an export condition.
    files: readdirSync('packages')
      .filter((name) => name !== 'native' && !name.startsWith('backend-c'))
      .map((name) => `packages/${name}/src/**/*.ts`),
    ignores: ['**/*.test.ts', '**/*.node.ts', 'packages/*/src/node/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportDeclaration[source.value=/^node:/]',
          message:
            'No node: import in a package that runs in browsers; use a *.node.ts file behind an export condition.',
        },
      ],
    },
  },
);
