import react from '@vitejs/plugin-react';
import { type Plugin, defaultClientConditions, defineConfig } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

/**
 * The built page runs its own scripts only, whatever a model writes. Models come from anywhere, so connections are free;
 * what is written with styles is React's inline ones.
 */
const policy = [
  "default-src 'self'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self' https: http: blob: data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
        injectTo: 'head-prepend',
      },
    ],
  };
}

// As in the repository's tests: workspace packages resolve to their sources, unless the built ones are asked for.
const source = process.env['TEST_BUILT'] === '1' ? [] : ['@rwkv-ts/source'];

export default defineConfig({
  // Relative, so that the page works in any folder of any server.
  base: './',
  resolve: { conditions: [...source, ...defaultClientConditions] },
  plugins: [
    react(),
    contentSecurityPolicy(),
    VitePWA({
      registerType: 'prompt',
      includeAssets: ['icon.svg'],
      manifest: {
        name: 'RWKV in this tab',
        short_name: 'RWKV',
        description: 'RWKV language models in a browser tab',
        display: 'standalone',
        start_url: './',
        background_color: '#f7f4ee',
        theme_color: '#f7f4ee',
        icons: [{ src: 'icon.svg', sizes: 'any', type: 'image/svg+xml', purpose: 'any' }],
      },
      workbox: {
        // The bundled model belongs to the page. The vocabulary of 20B models is large and rare: kept when it was needed.
        globPatterns: ['**/*.{js,css,html,svg,woff2,safetensors}'],
        maximumFileSizeToCacheInBytes: 4 * 2 ** 20,
        runtimeCaching: [
          {
            urlPattern: ({ sameOrigin, url }) => sameOrigin && url.pathname.endsWith('.json'),
            handler: 'CacheFirst',
            options: { cacheName: 'vocabularies' },
          },
        ],
      },
    }),
  ],
  worker: { format: 'es' },
  optimizeDeps: { exclude: ['@rwkv-ts/demo-model'] },
  build: { target: 'es2022', sourcemap: true, assetsInlineLimit: 0 },
});
