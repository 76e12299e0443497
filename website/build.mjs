// Writes the content of the site and builds it into build/. Fails on a broken link or anchor, and on any warning.

import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { write } from './content.mjs';

const site = dirname(fileURLToPath(import.meta.url));
const versions = write(join(site, '..'), site, process.env.DOCS_BASE_URL ?? '/');
console.log(`releases: ${versions.join(', ') || 'none'}`);

const environment = { ...process.env, NO_UPDATE_NOTIFIER: '1', FORCE_COLOR: '0' };
const child = spawn(join(site, 'node_modules/.bin/docusaurus'), ['build'], { cwd: site, env: environment });
let printed = '';
for (const stream of [child.stdout, child.stderr]) {
  stream.on('data', (part) => {
    printed += part;
    process.stdout.write(part);
  });
}
child.on('close', (code) => {
  const warned = /warn/i.test(printed);
  if (warned) console.error('build.mjs: the build has warnings');
  process.exit(code || Number(warned));
});
