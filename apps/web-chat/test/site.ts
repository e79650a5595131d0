/** The built page on a server of its own, and the browser that opens it. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { demoModel } from '@rwkv-ts/demo-model';
import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core';
import { preview } from 'vite';
import { ChatPage } from './chat-page.js';
import { type ModelServer, startModelServer } from './model-server.js';

export const executablePath = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== '' && existsSync(path));

const quiet = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
const root = fileURLToPath(new URL('..', import.meta.url));

export interface Site extends AsyncDisposable {
  readonly url: string;
  /** With a software GPU. */
  readonly browser: Browser;
  /** Another origin that has models. */
  readonly models: ModelServer;
  /** Of the bundled model's file. */
  readonly bytes: Uint8Array;
  /** For files of tests; it goes with the site. */
  readonly folder: string;
  /** Messages of errors that no page caught. */
  readonly errors: string[];
}

export function launch(...more: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath!,
    headless: true,
    args: [...quiet, ...more],
  });
}

/** As people build it, in a process of its own: the test runner's environment would give a development build. */
async function buildInto(folder: string): Promise<void> {
  const vite = createRequire(import.meta.url).resolve('vite/package.json');
  const command = [
    join(dirname(vite), 'bin/vite.js'),
    'build',
    '--outDir',
    folder,
    '--emptyOutDir',
  ];
  const env = { ...process.env, NODE_ENV: 'production' };
  await promisify(execFile)(process.execPath, command, { cwd: root, env });
}

export async function startSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'rwkv-ts-web-chat-'));
  const open: (() => PromiseLike<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const one of open.reverse()) await one();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const outDir = join(folder, 'site');
    await buildInto(outDir);
    const server = await preview({
      root,
      logLevel: 'error',
      build: { outDir },
      preview: { host: '127.0.0.1', port: 0 },
    });
    open.push(() => server.close());
    const models = await startModelServer();
    open.push(() => models[Symbol.asyncDispose]());
    const browser = await launch('--enable-unsafe-webgpu');
    open.push(() => browser.close());
    return {
      url: server.resolvedUrls!.local[0]!,
      browser,
      models,
      bytes: new Uint8Array(await readFile(demoModel.url)),
      folder,
      errors: [],
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A visitor with a storage of its own; the page is opened, and loads. */
export async function visit(
  { browser, url, errors }: Site,
  options: BrowserContextOptions = {},
): Promise<ChatPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('pageerror', ({ message }) => errors.push(message));
  await page.goto(url);
  return new ChatPage(page);
}
