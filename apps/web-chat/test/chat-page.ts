/** The page as the tests use it: by what people see and press. */
import type { Locator, Page, Worker } from 'playwright-core';
import type { ScriptedModel } from './scripted-model.js';

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

  /** Where the model runs. */
  worker(): Worker {
    return this.page.workers().find((one) => one.url().includes('worker'))!;
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

  async leave(): Promise<void> {
    await this.page.context().close();
  }

  /** Drops files onto the page as a person does, from outside of the browser. */
  async drop(...files: string[]): Promise<void> {
    const session = await this.page.context().newCDPSession(this.page);
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', { type, x: 400, y: 300, data });
      if (type === 'dragOver') await this.page.locator('[data-drop-target]').waitFor();
    }
    await session.detach();
  }

  /** Asks for a model by its address; `more` are the fields under “More”, by their labels. */
  async load(reference: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.button('Choose a model').click();
    const dialog = this.page.getByRole('dialog', { name: 'Choose a model' });
    await dialog.getByLabel(/From the Hugging Face hub/).fill(reference);
    if (Object.keys(more).length > 0) await dialog.getByText('More', { exact: true }).click();
    for (const [label, value] of Object.entries(more)) await dialog.getByLabel(label).fill(value);
    await this.button(/^Load$/, dialog).click();
    await dialog.waitFor({ state: 'detached' });
  }

  /** Waits for the model of this name. */
  async loaded(name: string): Promise<void> {
    await this.page.locator('.model-name', { hasText: name }).first().waitFor({ timeout: 60_000 });
    await this.ready();
  }

  /** What went wrong, and what to do. */
  async failure(): Promise<string> {
    const alert = this.page.getByRole('alert');
    await alert.waitFor({ timeout: 60_000 });
    return alert.innerText();
  }

  /** Opens a model of the tests' own, with the vocabulary that belongs to it. */
  async openScripted({ bytes, vocabulary }: ScriptedModel): Promise<void> {
    await this.button('Choose a model').click();
    const dialog = this.page.getByRole('dialog', { name: 'Choose a model' });
    await dialog.getByText('More', { exact: true }).click();
    const words = { name: 'words.txt', mimeType: 'text/plain', buffer: Buffer.from(vocabulary) };
    await this.choose(this.button('Choose a vocabulary file', dialog), words);
    await this.button('words.txt', dialog).waitFor();
    const file = { name: 'scripted.safetensors', mimeType: '', buffer: Buffer.from(bytes) };
    await this.choose(this.button(/A file of yours/, dialog), file);
    await this.loaded('scripted.safetensors');
  }

  /** Asks for thoughts before the answer, through the settings. */
  async think(pane = this.pane()): Promise<void> {
    await this.button('Settings', pane).click();
    const dialog = this.page.getByRole('dialog', { name: 'Settings' });
    await this.button(/Thinking/, dialog).click();
    await this.page.getByRole('option', { name: 'Think first' }).click();
    await this.button('Close', dialog).click();
    await dialog.waitFor({ state: 'detached' });
  }

  async openStorage(): Promise<Locator> {
    await this.button('Storage').click();
    const storage = this.page.getByRole('dialog', { name: 'Storage' });
    await storage.waitFor();
    return storage;
  }

  async chooseModelFile(name: string, bytes: Uint8Array): Promise<void> {
    await this.button('Choose a model').click();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const file = { name, mimeType: 'application/octet-stream', buffer };
    await this.choose(this.button(/A file of yours/), file);
  }
}
