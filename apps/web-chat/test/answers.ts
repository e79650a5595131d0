/** What answers look like: Markdown as it comes, thoughts folded away, anything that a model may write. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChatPage } from './chat-page.js';
import { scriptedModel } from './scripted-model.js';
import { type Site, visit } from './site.js';

export const richAnswer = `## A heading

Some **bold** words, some \`code\`, and a [link](https://example.org/page).

- one thing
- another thing

| Version | Memory of a conversation | Said about it |
| --- | ---: | --- |
| RWKV-4 | 0.2 MB | the first with public weights |
| RWKV-7 | 12.6 MB | a matrix for each head, whatever the length |

\`\`\`js
const answer = await model.generate('In the beginning', { maxTokens: 200, temperature: 0.8, topP: 0.5 });
\`\`\`

<script>document.title = 'taken over'</script> ![pixel](https://example.org/track.png)

${'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen'.repeat(5)}`;

export const thoughts =
  'The person says hello. A short greeting would do, and a table shows what I know.';

export function answers(site: () => Site): void {
  describe('an answer', () => {
    let chat: ChatPage;

    beforeAll(async () => {
      chat = await visit(site());
      await chat.ready();
      await chat.openScripted(await scriptedModel({ answer: richAnswer, thoughts }));
    }, 120_000);

    afterAll(async () => {
      await (chat as ChatPage | undefined)?.leave();
    });

    it('is Markdown: formatted, harmless, and never wider than its place', async () => {
      await chat.send('Hello');
      await chat.written(2);
      const prose = chat.pane().locator('.prose');
      expect(await prose.locator('h2').innerText()).toBe('A heading');
      expect(await prose.locator('li').allInnerTexts()).toEqual(['one thing', 'another thing']);
      expect(await prose.locator('td').first().innerText()).toBe('RWKV-4');
      expect(await prose.locator('a').getAttribute('rel')).toContain('noopener');
      expect(await prose.locator('script, img').count()).toBe(0);
      expect(await chat.page.title()).not.toBe('taken over');
      for (const width of [1280, 390]) {
        await chat.page.setViewportSize({ width, height: 800 });
        const wider = await chat
          .pane()
          .evaluate((pane) =>
            [pane, ...pane.querySelectorAll('.messages, .column, .message, .prose')].some(
              ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth,
            ),
          );
        expect(wider).toBe(false);
      }
      await chat.page.setViewportSize({ width: 1280, height: 800 });
    });

    it('copies its code', async () => {
      await chat.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await chat.button('Copy code').click();
      const copied = await chat.page.evaluate(() => navigator.clipboard.readText());
      expect(copied).toMatch(/^const answer = await model\.generate/);
    });

    it('that was thought about shows its thoughts folded', async () => {
      await chat.think();
      await chat.send('Hello again');
      await chat.written(4);
      const folded = chat.pane().locator('.reasoning');
      expect(await folded.count()).toBe(1);
      const text = folded.locator('.plain');
      expect(await text.isVisible()).toBe(false);
      await folded.locator('summary').click();
      expect(await text.innerText()).toBe(thoughts);
      const messages = await chat.messages();
      expect(messages[3]).toBe(messages[1]);
    });

    it('that this browser cannot keep is told, and the notice covers nothing that is needed', async () => {
      await chat.page.evaluate(() => {
        IDBObjectStore.prototype.put = () => {
          throw new DOMException('no room', 'QuotaExceededError');
        };
      });
      await chat.send('And this');
      await chat.written(6);
      const notice = chat.page.locator('.notice');
      await notice.waitFor();
      expect(await notice.innerText()).toMatch(/“Hello” is not kept.*Save this one as a file/s);
      // A click that something else would get does not come through.
      await chat.field().fill('again');
      await chat.button('Send', chat.pane()).click({ trial: true });
      await chat.field().fill('');
      await chat.button('Dismiss').click();
      await notice.waitFor({ state: 'detached' });
    });

    it('is reached by its place in the outline, by who wrote it', async () => {
      const who = chat.pane().getByRole('article');
      const said = await who.evaluateAll((all) => all.map((one) => one.ariaLabel).join(', '));
      expect(said).toBe('You, Model, You, Model, You, Model');
    });
  });
}
