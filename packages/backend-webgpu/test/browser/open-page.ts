/** A page of headless Chromium with the package as it is built, and model files beside it. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { demoModel } from '@rwkv-ts/demo-model';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { goldenPath } from '../../../generate/test/golden.js';
import { sendRange } from '../../../hub/test/test-hub.js';
import type { TestPage } from './page.js';

export const executablePath = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== '' && existsSync(path));

/** Without the first, Chromium keeps WebGPU from software adapters; the rest keeps it from the network. */
const flags = [
  '--enable-unsafe-webgpu',
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
/** A system's own GPU, where Chromium wants to be asked for it. */
const systemFlags = ['--enable-features=Vulkan', '--use-angle=vulkan'];

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface RemotePage extends AsyncDisposable {
  call<Method extends keyof TestPage>(
    method: Method,
    ...given: Parameters<TestPage[Method]>
  ): Promise<Awaited<ReturnType<TestPage[Method]>>>;
}

export async function openPage(): Promise<RemotePage> {
  const script = await bundle();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const types = { '/': 'text/html', '/page.js': 'text/javascript' };
    if (pathname === '/') {
      response.writeHead(200, { 'content-type': types['/'] });
      response.end('<!doctype html><script type="module" src="/page.js"></script>');
    } else if (pathname === '/page.js') {
      response.writeHead(200, { 'content-type': types['/page.js'] }).end(script);
    } else {
      const file = fileOf(pathname);
      if (file !== undefined && existsSync(file)) {
        sendRange({ request, response }, readFileSync(file));
      } else response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const isSystem = process.env['RWKV_WEBGPU_ADAPTER'] === 'system';
  const browser = await chromium.launch({
    executablePath: executablePath!,
    headless: true,
    args: [...flags, ...(isSystem ? systemFlags : [])],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => 'page' in globalThis);
  return {
    call: (method, ...given) =>
      page.evaluate(
        ([name, argument]) => {
          const { page: remote } = globalThis as unknown as { page: TestPage };
          return (remote[name] as (argument: unknown) => never)(argument);
        },
        [method, given[0]] as const,
      ),
    async [Symbol.asyncDispose]() {
      await browser.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** `/golden/FOLDER/FILE` and `/demo`; loaders look for more beside a model, which is not there. */
function fileOf(pathname: string): string | undefined {
  if (pathname === '/demo') return fileURLToPath(demoModel.url);
  const [, first, folder = '', file = ''] = pathname.split('/');
  return first === 'golden' ? goldenPath(folder, file) : undefined;
}

/**
 * The page with the package as `pnpm build` makes it, afresh, in a folder of its own, found by the entry that its
 * manifest has for browsers; everything else from source.
 */
async function bundle(): Promise<string> {
  const folder = mkdtempSync(join(root, 'node_modules/.built-'));
  try {
    const require = createRequire(join(root, '../../package.json'));
    const tsup = join(dirname(require.resolve('tsup/package.json')), 'dist/cli-default.js');
    const command = [tsup, '--no-dts', '--silent', '--out-dir', folder];
    await promisify(execFile)(process.execPath, command, { cwd: root });
    const { exports } = require(join(root, 'package.json')) as {
      exports: { '.': { default: string } };
    };
    const entry = join(folder, exports['.'].default.replace(/^\.\/dist\//, ''));
    const { outputFiles } = await build({
      entryPoints: [join(root, 'test/browser/page.ts')],
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      platform: 'browser',
      conditions: ['@rwkv-ts/source'],
      alias: { '@rwkv-ts/backend-webgpu': entry },
    });
    return outputFiles[0]!.text;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
