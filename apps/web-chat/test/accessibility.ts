/** For everybody: WCAG 2.2 A and AA in each view, theme and size as far as axe can tell, and all of it by keyboard. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type axe from 'axe-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { richAnswer, thoughts } from './answers.js';
import type { ChatPage } from './chat-page.js';
import { scriptedModel } from './scripted-model.js';
import { type Site, visit } from './site.js';

const sizes = [
  { width: 1280, height: 800 },
  { width: 390, height: 780 },
];
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

export function accessibility(site: () => Site): void {
  describe('every view', () => {
    let chat: ChatPage;
    let source: string;

    async function violations(): Promise<string[]> {
      // Evaluated from outside, as the page's own policy runs no foreign script.
      await chat.page.evaluate(source);
      return chat.page.evaluate(async (values) => {
        const { axe: tool } = globalThis as unknown as { axe: typeof axe };
        const found = await tool.run(document, {
          runOnly: { type: 'tag', values },
          resultTypes: ['violations'],
        });
        return found.violations.flatMap(({ id, nodes }) =>
          nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ''}`),
        );
      }, rules);
    }

    /** What axe finds, in both themes and each size. */
    async function audit(view: string, among = sizes): Promise<void> {
      const { page } = chat;
      for (const size of among) {
        await page.setViewportSize(size);
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
          const told = `${view}, ${colorScheme}, ${size.width} points wide`;
          expect.soft(await violations(), told).toEqual([]);
        }
      }
      await page.setViewportSize(sizes[0]!);
    }

    beforeAll(async () => {
      source = await readFile(
        createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
        'utf8',
      );
      chat = await visit(site());
      await chat.ready();
    }, 90_000);

    afterAll(async () => {
      site().models.answer = undefined;
      await (chat as ChatPage | undefined)?.leave();
    });

    it('would be found wanting', async () => {
      await chat.page.evaluate(() => {
        const pale = document.createElement('button');
        pale.id = 'pale';
        pale.style.cssText = 'position: fixed; color: #ccc; background: #fff';
        pale.textContent = 'pale';
        document.querySelector('main')!.append(pale);
      });
      const [first = 'nothing', ...more] = await violations();
      expect(first).toMatch(/^color-contrast: .*pale/);
      expect(more).toEqual([]);
      await chat.page.evaluate(() => document.querySelector('#pale')?.remove());
    });

    it('is sound: an empty conversation, and the menu of small screens', async () => {
      await audit('welcome');
      await chat.page.setViewportSize(sizes[1]!);
      await chat.button('Menu').click();
      await audit('menu', [sizes[1]!]);
      await chat.page.keyboard.press('Escape');
    });

    it('is sound: choosing a model', async () => {
      await chat.button('Choose a model').click();
      await chat.page.getByText('More', { exact: true }).click();
      await audit('choosing');
      await chat.page.keyboard.press('Escape');
    });

    it('is sound: a conversation with an answer, its state, an edit', async () => {
      await chat.openScripted(await scriptedModel({ answer: richAnswer, thoughts }));
      await chat.think();
      await chat.send('Hello');
      await chat.written(2);
      await chat.pane().locator('.reasoning summary').click();
      await chat.button('Show the state').click();
      await chat.page.locator('canvas').waitFor();
      await audit('answer');
      await chat.pane().locator('.message').first().hover();
      await chat.button('Edit').click();
      await audit('edit');
      await chat.page.keyboard.press('Escape');
      await chat.button('Fork from here').last().click();
      await chat.pane(1).waitFor();
      await audit('two conversations');
      await chat.button('Close', chat.pane(1)).click();
    });

    it('is sound: settings, and a choice of them', async () => {
      await chat.button('Settings').click();
      await audit('settings');
      await chat.button(/Thinking/).click();
      await chat.page.getByRole('option', { name: 'Think first' }).waitFor();
      await audit('choice', [sizes[0]!]);
      await chat.page.keyboard.press('Escape');
      await chat.page.keyboard.press('Escape');
    });

    it('is sound: loading, a failure, storage', async () => {
      const { models, bytes } = site();
      models.hub.files.set('/audit.safetensors', { bytes });
      models.answer = (request, response, behave) => {
        if (request.url !== '/audit.safetensors') {
          behave();
          return;
        }
        response.writeHead(200, { 'content-length': bytes.length, etag: '"audit"' });
        response.write(bytes.subarray(0, 500_000));
      };
      await chat.load(`${models.url}/audit.safetensors`);
      await chat.page.locator('.amount', { hasText: 'KB of' }).waitFor();
      await audit('loading');
      await chat.button('Stop').click();
      await chat.failure();
      await chat.page.getByText('Details').click();
      await audit('failure');
      const storage = await chat.openStorage();
      await storage.getByText('stopped half-way').waitFor();
      await audit('storage');
      await chat.button('Remove all models', storage).click();
      await chat.button('Press again to remove', storage).click();
      await storage.getByText('No models yet').waitFor();
      await audit('empty storage', [sizes[0]!]);
    });
  });

  describe('a keyboard', () => {
    let chat: ChatPage;

    /** The label of what has the focus. */
    const focused = (): Promise<string> =>
      chat.page.evaluate(() => {
        const { activeElement: element } = document;
        if (element === document.body) return '';
        const label = element?.getAttribute('aria-labelledby')?.split(' ') ?? [];
        const named = label.map((id) => document.getElementById(id)?.textContent ?? '');
        const labels = element instanceof HTMLInputElement ? [...(element.labels ?? [])] : [];
        const own = labels.map(({ textContent }) => textContent).join(' ');
        return element?.ariaLabel ?? (named.join(' ') || own || element?.textContent || '');
      });

    async function tabTo(label: RegExp): Promise<void> {
      for (let press = 0; press < 80; press++) {
        if (label.test(await focused())) return;
        await chat.page.keyboard.press('Tab');
      }
      throw new Error(`Tab never comes to ${String(label)}; it stands at ${await focused()}`);
    }

    const press = (key: string): Promise<void> => chat.page.keyboard.press(key);

    beforeAll(async () => {
      chat = await visit(site(), { reducedMotion: 'reduce' });
      await chat.ready();
    }, 90_000);

    afterAll(async () => {
      await (chat as ChatPage | undefined)?.leave();
    });

    it('loads a model, and stands where one writes', async () => {
      await tabTo(/^Choose a model$/);
      await press('Enter');
      const dialog = chat.page.getByRole('dialog', { name: 'Choose a model' });
      await dialog.waitFor();
      expect(await dialog.evaluate((one) => one.contains(document.activeElement))).toBe(true);
      await tabTo(/The small model of this page/);
      await press('Enter');
      await dialog.waitFor({ state: 'detached' });
      await chat.ready();
      await expect.poll(focused).toBe('Your text');
    });

    it('opens settings, closes them with Escape, and is back where it was', async () => {
      await tabTo(/^Settings$/);
      await press('Enter');
      const dialog = chat.page.getByRole('dialog', { name: 'Settings' });
      await dialog.waitFor();
      await tabTo(/^Most tokens$/);
      await press('ControlOrMeta+A');
      await chat.page.keyboard.type('5000');
      await press('Tab');
      await press('Escape');
      await dialog.waitFor({ state: 'detached' });
      await expect.poll(focused).toBe('Settings');
      await tabTo(/Storage/);
      await press('Enter');
      await chat.page.getByRole('dialog', { name: 'Storage' }).waitFor();
      await press('Escape');
      await expect.poll(focused).toMatch(/Storage/);
    });

    it('types, sends, stops and forks', async () => {
      await tabTo(/^Your text$/);
      await chat.page.keyboard.type('In the beginning');
      await press('Enter');
      await expect.poll(() => chat.messages(), { timeout: 20_000 }).toHaveLength(2);
      await press('Escape');
      await chat.idle();
      expect(await chat.page.getByText('Stopped.').count()).toBe(1);
      await expect.poll(focused).toBe('Your text');
      await tabTo(/^Fork from here$/);
      await press('Enter');
      await chat.pane(1).waitFor();
      const field = chat.field(chat.pane(1));
      await expect.poll(() => field.evaluate((one) => one === document.activeElement)).toBe(true);
    });

    it('and everything else stand still for those who asked for that', async () => {
      const moving = (): Promise<number> =>
        chat.page.evaluate(() => document.getAnimations().length);
      await chat.send(' And', chat.pane(1));
      await expect.poll(() => chat.messages(chat.pane(1)), { timeout: 20_000 }).toHaveLength(4);
      expect(await moving()).toBe(0);
      await chat.page.emulateMedia({ reducedMotion: 'no-preference' });
      await expect.poll(moving).toBeGreaterThan(0);
      await chat.button('Stop', chat.pane(1)).click();
      await chat.idle(chat.pane(1));
    });
  });
}
