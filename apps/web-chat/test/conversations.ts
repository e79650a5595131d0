/** Talking, going back, keeping, and what happens when a model or its device breaks: one visit from its first word on. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChatPage } from './chat-page.js';
import { type Site, launch, visit } from './site.js';

export function conversations(site: () => Site): void {
  describe('a conversation', () => {
    let chat: ChatPage;

    beforeAll(async () => {
      chat = await visit(site());
      await chat.ready();
    }, 90_000);

    afterAll(async () => {
      await (chat as ChatPage | undefined)?.leave();
    });

    it('talks at once on the GPU, and tells screen readers the end and not every token', async () => {
      expect(await chat.page.locator('.model-card').innerText()).toContain('webgpu');
      await chat.page.evaluate(() => {
        const said: string[] = ((globalThis as { said?: string[] }).said = []);
        const live = document.querySelector('[aria-live="polite"][aria-atomic]')!;
        new MutationObserver(() => said.push(live.textContent)).observe(live, {
          childList: true,
          characterData: true,
          subtree: true,
        });
      });
      await chat.configure({ tokens: 12, seed: 7 });
      await chat.send('In the beginning');
      await chat.written(2);
      const [said, written] = await chat.messages();
      expect(said).toBe('In the beginning');
      expect(written!.length).toBeGreaterThan(3);
      const told = await chat.page.evaluate(() => (globalThis as { said?: string[] }).said!);
      expect(told).toEqual(['Writing.', expect.stringContaining('Answer complete.')]);
      const figures = await chat.pane().locator('.figures').innerText();
      expect(figures).toMatch(/132 KB memory\s+28 tokens\s+[\d.]+ tokens\/s/);
    });

    it('writes the same again with the same seed', async () => {
      const before = await chat.messages();
      await chat.button('Write this again').click();
      await chat.idle();
      expect(await chat.messages()).toEqual(before);
    });

    it('goes on from an edited message', async () => {
      const message = chat.pane().locator('.message').first();
      await message.hover();
      await chat.button('Edit', message).click();
      await chat.page.getByRole('textbox', { name: 'What you wrote' }).fill('And God said');
      await chat.button('Send', message).click();
      await expect.poll(async () => (await chat.messages())[0]).toBe('And God said');
      await chat.written(2);
      const messages = await chat.messages();
      expect(messages).toHaveLength(2);
      expect(messages[0]).toBe('And God said');
    });

    it('forks, and both conversations write at the same time', async () => {
      const before = await chat.messages();
      // Long enough for any device, as they are stopped.
      await chat.configure({ tokens: 5000, seed: 7 });
      await chat.button('Fork from here').last().click();
      await chat.pane(1).waitFor();
      expect(await chat.messages(chat.pane(1))).toEqual(before);
      await chat.send(' the LORD', chat.pane(0));
      await chat.send(' a woman', chat.pane(1));
      const both = chat.page.locator(
        '.panes:has(.pane[data-writing="true"] ~ .pane[data-writing="true"])',
      );
      const wait = { timeout: 20_000 };
      await both.waitFor(wait);
      await expect.poll(() => chat.messages(chat.pane(0)), wait).toHaveLength(4);
      await expect.poll(() => chat.messages(chat.pane(1)), wait).toHaveLength(4);
      await chat.button('Stop', chat.pane(0)).click();
      await chat.button('Stop', chat.pane(1)).click();
      await chat.idle(chat.pane(0));
      await chat.idle(chat.pane(1));
      const [left, right] = [await chat.messages(chat.pane(0)), await chat.messages(chat.pane(1))];
      expect(left.slice(0, 3)).toEqual([...before, ' the LORD']);
      expect(right.slice(0, 3)).toEqual([...before, ' a woman']);
      expect([left.length, right.length]).toEqual([4, 4]);
      await chat.button('Close', chat.pane(1)).click();
      await expect.poll(() => chat.panes.count()).toBe(1);
    });

    it('shows the state as a picture that changes while it writes, and stops when asked', async () => {
      await chat.configure({ tokens: 5000, seed: 9 });
      await chat.button('Show the state').click();
      const canvas = chat.page.locator('canvas');
      await canvas.waitFor();
      expect(await canvas.getAttribute('aria-label')).toContain('4 layers with 2 heads of 64 × 64');
      const pixels = (): Promise<string> =>
        canvas.evaluate((element) => (element as HTMLCanvasElement).toDataURL());
      const resting = await pixels();
      await chat.send('');
      await expect.poll(pixels, { timeout: 20_000 }).not.toBe(resting);
      await chat.button('Stop', chat.pane()).click();
      await chat.idle();
      expect(await chat.page.getByText('Stopped.').count()).toBe(1);
      await chat.button('Hide the state').click();
      await chat.configure({ tokens: 12, seed: 7 });
    });

    it('saves a conversation as a file, and goes on from it', async () => {
      const download = chat.page.waitForEvent('download');
      await chat.button('Save as a file').click();
      const file = join(site().folder, 'saved.rwkv-chat');
      await (await download).saveAs(file);
      const before = await chat.messages();
      await chat.button('Close', chat.pane()).click();
      await chat.choose(chat.button('Open a saved conversation'), file);
      await chat.ready();
      expect(await chat.messages()).toEqual(before);
      await chat.configure({ tokens: 6, seed: 3 });
      await chat.send(' Moses');
      await chat.written(before.length + 2);
      expect(await chat.messages()).toHaveLength(before.length + 2);
    });

    it('says what is wrong with a broken file and what to do, and goes on', async () => {
      await chat.chooseModelFile('broken.safetensors', site().bytes.subarray(0, 500_000));
      const failure = chat.page.getByRole('alert');
      await failure.waitFor({ timeout: 30_000 });
      expect(await failure.innerText()).toMatch(/cut off|damaged|incomplete|ends too early/i);
      await chat.chooseModelFile('holiday.pth', new TextEncoder().encode('no model at all'));
      await expect.poll(() => failure.innerText(), { timeout: 30_000 }).toMatch(/not a model file/);
    });

    it('opens a model file, and with it the conversations of that model', async () => {
      await chat.chooseModelFile('mine.safetensors', site().bytes);
      await chat.ready();
      expect(await chat.page.locator('.model-name').first().innerText()).toBe('mine.safetensors');
      // The same weights under another name: the latest conversation is there again.
      expect((await chat.messages()).at(-2)).toBe(' Moses');
    });

    it('keeps a model of a URL, and starts and talks offline', async () => {
      const { models, bytes } = site();
      const context = chat.page.context();
      const asked = (): number => models.ranges('/tiny.safetensors').length;
      models.hub.files.set('/tiny.safetensors', { bytes, etag: '"1"' });
      await chat.button('Choose a model').click();
      await chat.page
        .getByLabel(/From the Hugging Face hub/)
        .fill(`${models.url}/tiny.safetensors`);
      await chat.button(/^Load$/).click();
      await expect
        .poll(() => chat.page.locator('.model-name').allInnerTexts(), { timeout: 60_000 })
        .toContain('tiny.safetensors');
      expect(asked()).toBeGreaterThan(0);
      await chat.button('Storage').click();
      const storage = chat.page.getByRole('dialog', { name: 'Storage' });
      await expect.poll(() => storage.innerText()).toMatch(/tiny\.safetensors\s+1\.90 MB/);
      await chat.button('Close', storage).click();

      await chat.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
      await context.setOffline(true);
      const askedBefore = asked();
      await chat.page.reload();
      await chat.ready();
      expect(await chat.page.locator('.model-name').first().innerText()).toBe('tiny.safetensors');
      await chat.button('New conversation').first().click();
      await expect.poll(() => chat.panes.count()).toBe(2);
      const fresh = chat.pane(1);
      await chat.configure({ tokens: 6, seed: 3 }, fresh);
      await chat.send('And it came to pass', fresh);
      await chat.written(2, fresh);
      expect(await chat.messages(fresh)).toHaveLength(2);
      expect(asked()).toBe(askedBefore);
      await context.setOffline(false);

      await chat.button('Storage').click();
      await chat.button('Remove all models').click();
      await chat.button('Press again to remove').click();
      await expect.poll(() => storage.innerText()).toContain('No models yet');
      await chat.button('Close', storage).click();
    });

    it('tells that the GPU was lost, and brings the conversations back', async () => {
      // The worker's device is kept where the test can reach it, from the next load on.
      type Kept = { device?: GPUDevice };
      const worker = chat.worker();
      await worker.evaluate(() => {
        const request = Reflect.get(GPUAdapter.prototype, 'requestDevice');
        GPUAdapter.prototype.requestDevice = async function (options) {
          const device = await request.call(this, options);
          (globalThis as Kept).device = device;
          return device;
        };
      });
      await chat.button('Choose a model').click();
      await chat.button(/The small model of this page/).click();
      await chat.ready();
      const before = await chat.messages();
      expect(before.length).toBeGreaterThan(1);
      await worker.evaluate(() => {
        (globalThis as Kept).device!.destroy();
      });
      const failure = chat.page.getByRole('alert');
      await failure.waitFor({ timeout: 20_000 });
      expect(await failure.innerText()).toContain('The connection to the GPU was lost');
      await chat.button('Try again').click();
      await chat.ready();
      expect(await chat.messages()).toEqual(before);
      await chat.configure({ tokens: 4, seed: 3 });
      await chat.send(' And');
      await chat.written(before.length + 2);
      expect((await chat.messages()).slice(0, -1)).toEqual([...before, ' And']);
    });
  });

  it('without a GPU it says that it is slow, and talks', async () => {
    const other = await launch('--disable-features=WebGPU');
    try {
      const slow = new ChatPage(await other.newPage());
      await slow.page.goto(site().url);
      await slow.ready();
      expect(await slow.page.locator('.slow-notice').innerText()).toContain('slow');
      await slow.configure({ tokens: 5, seed: 1 });
      await slow.send('And God');
      await slow.written(2);
      expect(await slow.messages()).toHaveLength(2);
    } finally {
      await other.close();
    }
  });
}
