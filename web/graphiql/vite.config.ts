import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vite';

// Beside the console's own folder, which is emptied whenever that is built.
const OUT = '../../src/alertgraph/graphiql';
const COMPRESSED = /\.(js|css|svg|json)$/;
const SERVICE = process.env['ALERTGRAPH_URL'] ?? 'http://127.0.0.1:8000';

/** Keeps only what is compressed of what can be: it is a third, and every browser reads it. */
function compressed(): Plugin {
  let folder = '';
  return {
    name: 'alertgraph-compressed',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir, 'assets');
    },
    closeBundle() {
      for (const name of readdirSync(folder)) {
        if (!COMPRESSED.test(name)) continue;
        const path = join(folder, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        rmSync(path);
      }
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [compressed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 8_000,
  },
  server: { proxy: { '/graphql': { target: SERVICE, ws: true } } },
});
