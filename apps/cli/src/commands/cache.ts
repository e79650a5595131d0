/** `rwkv cache`: the models that were downloaded. */
import { type CachedModel, downloadModel, type ModelCache } from '@rwkv-ts/hub';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.js';
import { ExitError, InputError } from '../failure.js';
import {
  type CacheOptions,
  cacheFolderOption,
  downloadProgress,
  hubAccess,
  openCache,
} from '../remote-models.js';
import { humanBytes } from '../sizes.js';
import { table } from '../table.js';
import type { Terminal } from '../terminal.js';

interface CacheCommandOptions extends Pick<CacheOptions, 'cacheFolder'> {
  readonly json?: true;
}

type Action = (
  context: { cache: ModelCache; json: boolean; terminal: Terminal },
  models: readonly string[],
) => Promise<void>;

export function addCache(program: Command, terminal: Terminal): void {
  const command = program
    .command('cache')
    .summary('the models that were downloaded: list, add, verify, remove')
    .description(
      'Models named by URL or owner/repo are downloaded once, checked by their hash, and kept on this machine.',
    )
    .addHelpText(
      'after',
      `
Examples:
  rwkv cache add BlinkDL/rwkv7-g1:rwkv7-g1-0.1b.pth
  rwkv cache list
  rwkv cache remove BlinkDL/rwkv7-g1`,
    );
  const add = (usage: string, summary: string, action: Action): void => {
    command
      .command(usage)
      .description(summary)
      .addOption(cacheFolderOption())
      .option('--json', 'for machines')
      .action(async (...given: unknown[]) => {
        const { json = false, ...options } = given.at(-2) as CacheCommandOptions;
        const models = given.slice(0, -2).flat() as (string | undefined)[];
        const named = models.filter((each) => each !== undefined);
        await action({ cache: openCache(options), json, terminal }, named);
      });
  };
  add('list', 'every model, finished or not', list);
  add('add <model>', 'download a URL or owner/repo[:file][@revision]', download);
  add('path [model]', "the cache's folder, or the file of a model", path);
  add('verify [models...]', 'compute hashes again, of all or of some models', verify);
  add('remove <models...>', 'by id, owner/repo:file, owner/repo or URL', remove);
  add('clear', 'remove all of them', clear);
}

const list: Action = async ({ cache, json, terminal }) => {
  const models = await cache.list();
  const { used, free } = await cache.usage();
  if (json) {
    await terminal.json({ folder: cache.location, used, free, models });
    return;
  }
  if (models.length === 0) {
    await terminal.line(`nothing is in ${cache.location}`);
    return;
  }
  const rows = models.map((model) => [
    model.id.slice(0, 8),
    model.name,
    describeSize(model),
    model.state,
  ]);
  await terminal.line(table(['id', 'model', 'size', 'state'], rows));
  const room = free === undefined ? '' : `, ${humanBytes(free)} free`;
  await terminal.line(`\n${humanBytes(used)} in ${cache.location}${room}`);
};

function describeSize({ received, size, state }: CachedModel): string {
  const whole = humanBytes(size);
  return state === 'partial' ? `${humanBytes(received)} of ${whole}` : whole;
}

const download: Action = async ({ cache, json, terminal }, [reference = '']) => {
  using progress = downloadProgress(cache, terminal);
  const model = await downloadModel(reference, {
    ...hubAccess(),
    cache,
    signal: terminal.signal,
    onProgress: progress.tell,
    onNotice: ({ message }) => {
      terminal.warn(message);
    },
  });
  if (json) await terminal.json(model);
  else await terminal.line(`${model.name}: ${humanBytes(model.size)}, verified`);
};

const path: Action = async ({ cache, json, terminal }, [which]) => {
  const found = which === undefined ? undefined : await find(cache, which);
  const place = found === undefined ? cache.location : (found[0]?.files[0]?.path ?? '');
  if (json) await terminal.json({ path: place });
  else await terminal.line(place);
};

const verify: Action = async ({ cache, json, terminal }, which) => {
  const models =
    which.length === 0
      ? await cache.list()
      : (await Promise.all(which.map((each) => find(cache, each)))).flat();
  const results: { model: string; file: string; intact: boolean }[] = [];
  using progress = terminal.progress('Checking');
  for (const { id, name } of models) {
    const checked = await cache.verify(id, {
      signal: terminal.signal,
      onProgress: ({ done, total }) => {
        progress.update(done, total);
      },
    });
    for (const { file, intact } of checked) {
      results.push({ model: name, file: file.name, intact });
      if (!json) await terminal.line(`${intact ? 'intact ' : 'DAMAGED'}  ${name}  ${file.name}`);
    }
  }
  if (json) await terminal.json({ files: results });
  if (results.every(({ intact }) => intact)) return;
  if (!json) terminal.note('damaged files are downloaded again when they are next needed');
  throw new ExitError(exitCodes.input);
};

const remove: Action = async ({ cache, json, terminal }, which) => {
  // All are looked up first, so that a typo removes nothing.
  const models = (await Promise.all(which.map((each) => find(cache, each)))).flat();
  let freed = 0;
  for (const { id } of models) freed += await cache.remove(id);
  await tellFreed({ json, terminal }, freed);
};

const clear: Action = async ({ cache, json, terminal }) => {
  await tellFreed({ json, terminal }, await cache.clear());
};

async function tellFreed(
  { json, terminal }: { json: boolean; terminal: Terminal },
  freed: number,
): Promise<void> {
  if (json) await terminal.json({ freed });
  else await terminal.line(`${humanBytes(freed)} freed`);
}

/** The models that a person's word for them means. @throws InputError where there is none */
async function find(cache: ModelCache, which: string): Promise<readonly CachedModel[]> {
  const plain = which.replace(/^hf:/i, '').replace(/@[^@:/]*$/, '');
  const isShortId = /^[0-9a-f]{8,32}$/.test(which);
  const found = (await cache.list()).filter(
    ({ id, name }) =>
      (isShortId && id.startsWith(which)) || name === plain || name.startsWith(`${plain}:`),
  );
  if (found.length > 0) return found;
  throw new InputError(`${which} is not in the cache; \`rwkv cache list\` shows what is.`);
}
