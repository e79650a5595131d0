/** Where models come from: dropped and chosen files, URLs, hubs; cut connections, wrong bytes, no room. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memorySource, openRawFile } from '@rwkv-ts/weights';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Handler } from '../../../packages/hub/test/test-hub.js';
import { writePth } from '../../../packages/weights/test/writers/index.js';
import type { ChatPage } from './chat-page.js';
import { scriptedModel } from './scripted-model.js';
import { type Site, visit } from './site.js';

/** Answers a range, and stops after so many bytes of it, with the connection open. */
function standingStill(
  bytes: Uint8Array,
  { etag, after }: { etag: string; after: number },
): Handler {
  return ({ headers }, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')![1]);
    response.writeHead(206, {
      etag,
      'content-length': bytes.length - start,
      'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    });
    response.write(bytes.subarray(start, start + after));
  };
}

export function sources(site: () => Site): void {
  describe('a model', () => {
    let chat: ChatPage;

    beforeAll(async () => {
      chat = await visit(site());
      await chat.ready();
    }, 90_000);

    afterEach(() => {
      site().models.answer = undefined;
    });

    afterAll(async () => {
      await (chat as ChatPage | undefined)?.leave();
    });

    it('is dropped onto the page together with its vocabulary', async () => {
      const { bytes, vocabulary } = await scriptedModel({
        answer: 'It was dropped, and it talks.',
      });
      const { folder } = site();
      await writeFile(join(folder, 'dropped.safetensors'), bytes);
      await writeFile(join(folder, 'words.txt'), vocabulary);
      await chat.drop(join(folder, 'dropped.safetensors'), join(folder, 'words.txt'));
      await chat.loaded('dropped.safetensors');
      await chat.send('Hello');
      await chat.written(2);
      expect(await chat.messages()).toEqual(['Hello', 'It was dropped, and it talks.']);
    });

    it('that is dropped without its vocabulary says what is missing', async () => {
      await chat.drop(join(site().folder, 'dropped.safetensors'));
      expect(await chat.failure()).toMatch(/needs its vocabulary\s+Choose the vocabulary file/);
    });

    it('is chosen as a .pth file', async () => {
      await using raw = await openRawFile(memorySource(site().bytes, { name: 'a.safetensors' }));
      const tensors = [];
      for (const tensor of raw.tensors.values()) {
        const { name, shape, format } = tensor;
        tensors.push({ name, shape, format, bytes: await tensor.read() });
      }
      await chat.chooseModelFile('mine.pth', writePth({ tensors }));
      await chat.loaded('mine.pth');
      await chat.configure({ tokens: 5, seed: 3 });
      await chat.send('In the beginning');
      await chat.written(2);
      expect(await chat.messages()).toHaveLength(2);
    });

    it('for which there is no room: both numbers are told, and nothing is downloaded', async () => {
      const { models, bytes } = site();
      models.hub.files.set('/large.safetensors', { bytes, etag: '"large"' });
      models.answer = standingStill(bytes, { etag: '"large"', after: 1000 });
      // Browsers blur the estimate, also the one of a quota that a test sets.
      await chat.worker().evaluate(() => {
        StorageManager.prototype.estimate = async () => ({ quota: 5_000_000, usage: 4_500_000 });
      });
      await chat.load(`${models.url}/large.safetensors`);
      expect(await chat.failure()).toMatch(
        /There is not enough room for this model\s+1\.90 MB are needed, 488 KB are free\. Remove/,
      );
      const storage = await chat.openStorage();
      await expect.poll(() => storage.innerText()).toContain('No models yet');
      await chat.button('Close', storage).click();
    });

    it('for which the room ends on the way goes on when there is room again', async () => {
      const { models, url } = site();
      await chat.page.reload();
      await chat.ready();
      const session = await chat.page.context().newCDPSession(chat.page);
      const { origin } = new URL(url);
      const { usage } = await session.send('Storage.getUsageAndQuota', { origin });
      const quotaSize = usage + 1_000_000;
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize });
      await chat.load(`${models.url}/large.safetensors`);
      expect(await chat.failure()).toContain('There is not enough room for this model');
      await session.send('Storage.overrideQuotaForOrigin', { origin });
      await chat.button('Try again').click();
      await chat.loaded('large.safetensors');
    });

    it('whose download is cut and stopped goes on where it was, and its hash is checked', async () => {
      const { models } = site();
      // Files are kept by content: this one is like no other.
      const bytes = site().bytes.slice();
      bytes[bytes.length - 2]! ^= 1;
      models.hub.files.set('/long.safetensors', { bytes, etag: '"long"' });
      const held: ServerResponse[] = [];
      const stand = standingStill(bytes, { etag: '"long"', after: 600_000 });
      models.answer = (request, response, behave) => {
        if (request.url !== '/long.safetensors' || held.length === 2) {
          behave();
          return;
        }
        held.push(response);
        stand(request, response, behave);
      };
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      await chat.load(`${models.url}/long.safetensors`, { 'SHA-256 of the file': sha256 });
      const downloaded = (amount: string): Promise<void> =>
        chat.page.locator('.amount').getByText(`${amount} of 1.90 MB`).waitFor({ timeout: 60_000 });
      await downloaded('586 KB');
      held[0]!.destroy();
      await downloaded('1.14 MB');
      await chat.button('Stop').click();
      expect(await chat.failure()).toMatch(/Stopped\s+Start again when you like/);
      const storage = await chat.openStorage();
      await expect
        .poll(() => storage.innerText())
        .toMatch(/long\.safetensors\s+1\.14 MB of 1\.90 MB, stopped half-way/);
      await chat.button('Close', storage).click();
      await chat.button('Try again').click();
      await chat.loaded('long.safetensors');
      const ranges = models.ranges('/long.safetensors');
      const starts = ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0));
      expect(starts).toEqual([0, 600_000, 1_200_000]);
    });

    it('that is not the file it should be is refused, and nothing of it is kept', async () => {
      const { models, bytes } = site();
      models.hub.files.set('/other.safetensors', { bytes, etag: '"other"' });
      const sha256 = createHash('sha256').update('another').digest('hex');
      await chat.load(`${models.url}/other.safetensors`, { 'SHA-256 of the file': sha256 });
      expect(await chat.failure()).toContain('The download is not the file it should be');
      const storage = await chat.openStorage();
      await expect.poll(() => storage.innerText()).toContain('long.safetensors');
      expect(await storage.innerText()).not.toContain('other.safetensors');
      await chat.button('Close', storage).click();
    });

    it('comes from a hub: a private one with a token, which is not kept', async () => {
      const { models, bytes } = site();
      const { hub } = models;
      hub.repositories.set('owner/tiny', new Map([['model.safetensors', { bytes, lfs: true }]]));
      models.answer = (request, response, behave) => {
        if (request.url?.includes('owner/tiny') !== true) behave();
        else if (request.headers.authorization === 'Bearer hf_good') behave();
        else response.writeHead(401, { 'x-error-code': 'GatedRepo' }).end();
      };
      const at = { 'Address of another hub': models.url };
      await chat.load('owner/tiny', at);
      expect(await chat.failure()).toMatch(/token/);
      await chat.load('owner/tiny', { ...at, 'Access token': 'hf_good' });
      await chat.loaded('tiny');
      const said = await chat.page.evaluate(() => JSON.stringify(Object.entries(localStorage)));
      expect(said).toContain('owner/tiny');
      expect(said).not.toContain('hf_good');
      await chat.configure({ tokens: 4, seed: 3 });
      await chat.send('And');
      await chat.written(2);
    });

    it('that nobody has, or an address that is none, is told', async () => {
      const at = { 'Address of another hub': site().models.url };
      await chat.load('owner/missing', at);
      expect(await chat.failure()).toMatch(/There is no such model|may not be read/);
      await chat.load('/home/me/model.pth');
      await expect.poll(() => chat.failure()).toContain('A page cannot open paths');
    });

    it('is removed by itself, and all of them are', async () => {
      const storage = await chat.openStorage();
      await chat
        .button('Remove', storage.getByRole('listitem').filter({ hasText: 'long' }))
        .click();
      await expect.poll(() => storage.innerText()).not.toContain('long.safetensors');
      expect(await storage.innerText()).toContain('large.safetensors');
      await chat.button('Remove all models', storage).click();
      await chat.button('Press again to remove', storage).click();
      await expect.poll(() => storage.innerText()).toContain('No models yet');
      await chat.button('Close', storage).click();
    });
  });
}
