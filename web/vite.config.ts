import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { manifest } from './tools/documents.mjs';

const OUT = '../src/alertgraph/console';
const COMPRESSED = /\.(js|css|svg|json|html)$/;
const SERVICE = process.env['ALERTGRAPH_URL'] ?? 'http://127.0.0.1:8000';

/** Gives the server the documents that it registers for the console. */
function documents(): Plugin {
  return {
    name: 'alertgraph-documents',
    generateBundle() {
      const source = JSON.stringify(manifest(), null, 1);
      this.emitFile({ type: 'asset', fileName: 'documents.json', source });
    },
  };
}

/** Compresses once what would be compressed with each request. */
function precompressed(): Plugin {
  let folder = '';
  return {
    name: 'alertgraph-precompressed',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir, 'assets');
    },
    closeBundle() {
      for (const name of readdirSync(folder)) {
        if (!COMPRESSED.test(name)) continue;
        const path = join(folder, name);
        const content = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
        const params = {
          [constants.BROTLI_PARAM_QUALITY]: 11,
          [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
        };
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params }));
      }
    },
  };
}

export default defineConfig({
  // Relative, since a proxy may serve us under any prefix; the server writes index.html's <base>.
  base: './',
  plugins: [documents(), precompressed()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/graphql': { target: SERVICE, ws: true } } },
  test: { include: ['src/**/*.test.ts', 'src/**/*.test.tsx'], environment: 'node' },
});
