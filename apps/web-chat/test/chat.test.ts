/** The built page in headless Chromium, on its software GPU. Skips where there is no Chromium. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessibility } from './accessibility.js';
import { answers } from './answers.js';
import { conversations } from './conversations.js';
import { type Site, executablePath, startSite } from './site.js';
import { sources } from './sources.js';

if (executablePath === undefined) {
  console.warn('skipping the browser tests of apps/web-chat: no Chromium; set CHROMIUM_PATH');
}

describe.skipIf(executablePath === undefined)('the chat page', { timeout: 120_000 }, () => {
  let opened: Site;
  const site = (): Site => opened;

  beforeAll(async () => {
    opened = await startSite();
  }, 180_000);

  afterAll(async () => {
    // What did not come up is not there to be closed.
    await (opened as Site | undefined)?.[Symbol.asyncDispose]();
  });

  conversations(site);
  sources(site);
  answers(site);
  accessibility(site);

  it('threw no error on the way', () => {
    expect(opened.errors).toEqual([]);
  });
});
