import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import * as hub from '../src/index.node.js';

it('the README names what there is', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  for (const name of Object.keys(hub)) expect(readme).toContain(`\`${name}`);
  expect(hub.parseReference(/resolveModel\('(.*?)'/.exec(readme)![1]!)).toEqual({
    kind: 'repository',
    repository: 'owner/repository',
    file: 'model.pth',
    revision: 'main',
    explicit: false,
  });
});
