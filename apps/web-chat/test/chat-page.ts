/** The page as the tests use it: by what people see and press. */
import type { Locator, Page } from 'playwright-core';

export class ChatPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  get panes(): Locator {
    return this.page.locator('.pane');
  }

  pane(index = 0): Locator {
    return this.panes.nth(index);
  }

  button(name: string | RegExp, within: Locator | Page = this.page): Locator {
    return within.getByRole('button', { name });
  }

  field(pane = this.pane()): Locator {
    return pane.locator('.composer textarea');
  }

  async ready(): Promise<void> {
    await this.field().waitFor({ timeout: 60_000 });
  }

  /** Texts of what was said and written, in order. */
  async messages(pane = this.pane()): Promise<string[]> {
    return pane.locator('.message > :is(.plain, .prose)').allInnerTexts();
  }

  /** Waits until there are so many messages, the last one begun, and it is written: writing begins a moment after a click. */
  async written(count: number, pane = this.pane()): Promise<void> {
    const last = pane.locator('.message > :is(.plain, .prose)').nth(count - 1);
    await last.waitFor({ state: 'attached', timeout: 60_000 });
    await this.idle(pane);
  }

  async idle(pane = this.pane()): Promise<void> {
    await pane.and(this.page.locator('[data-writing="false"]')).waitFor({ timeout: 60_000 });
  }

  async send(text: string, pane = this.pane()): Promise<void> {
    await this.field(pane).fill(text);
    await this.field(pane).press('Enter');
  }

  /** The length of answers and the seed, through the settings. */
  async configure(
    { tokens, seed }: { tokens: number; seed: number },
    pane = this.pane(),
  ): Promise<void> {
    await this.button('Settings', pane).click();
    const dialog = this.page.getByRole('dialog', { name: 'Settings' });
    await dialog.getByLabel('Most tokens').fill(String(tokens));
    await dialog.getByLabel('Seed').fill(String(seed));
    await dialog.getByLabel('Seed').press('Tab');
    await this.button('Close', dialog).click();
    await dialog.waitFor({ state: 'detached' });
  }

  /** Chooses a file by a button that asks for one. */
  async choose(
    button: Locator,
    file: string | { name: string; mimeType: string; buffer: Buffer },
  ): Promise<void> {
    const asked = this.page.waitForEvent('filechooser');
    await button.click();
    await (await asked).setFiles(file);
  }

  async chooseModelFile(name: string, bytes: Uint8Array): Promise<void> {
    await this.button('Choose a model').click();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const file = { name, mimeType: 'application/octet-stream', buffer };
    await this.choose(this.button(/A file of yours/), file);
  }
}
