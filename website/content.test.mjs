// Tests of content.mjs: `node --test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newest, place, rewrite } from './content.mjs';

test('the newest release of each minor version counts', () => {
  const found = newest(['v0.9.1', 'v0.10.0', 'v0.9.10', 'v1.0.0-rc.1', 'nightly', '']);
  assert.deepEqual(found, [{ version: '0.10', tag: 'v0.10.0' }, { version: '0.9', tag: 'v0.9.10' }]);
});

test('pages have a place on the site, other files have none', () => {
  assert.equal(place('docs/guides/ui.md'), 'guides/ui.md');
  assert.equal(place('SECURITY.md'), 'security-policy.md');
  assert.equal(place('deploy/k8s/install.yaml'), undefined);
  assert.equal(place('docs/guides/images/ui.png'), undefined);
});

test('links are rewritten, except in code, to other sites, and within the page', () => {
  const text = ['[a](../b.md#c) ![p](images/p.png)', '```', '[a](../b.md)', '```', '[x](https://x.example/) [y](#here)'].join('\n');
  const seen = [];
  const out = rewrite('docs/guides/ui.md', text, (path) => { seen.push(path); return 'new'; });
  assert.deepEqual(seen, ['docs/b.md', 'docs/guides/images/p.png']);
  assert.equal(out, ['[a](new#c) ![p](new)', '```', '[a](../b.md)', '```', '[x](https://x.example/) [y](#here)'].join('\n'));
});
