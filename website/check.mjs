// Checks the built site in Chromium: ten pages in both themes and two widths, and the search.
//
// A page must be accessible (axe, WCAG 2.2 AA), not too wide, silent on the console, and load nothing from another host.
// Writes pictures to target/site-shots. Prints SKIPPED if chromium or chromedriver is missing.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const site = dirname(fileURLToPath(import.meta.url));
const build = join(site, 'build');
const shots = join(process.env.CARGO_TARGET_DIR ?? join(site, '../target'), 'site-shots');
const PAGES = [
  '/', '/getting-started', '/concepts', '/guides/install', '/guides/ui', '/guides/polling', '/reference/annotations',
  '/reference/settings', '/registries/harbor', '/comparison',
];
const THEMES = ['light', 'dark'];
const WIDTHS = [['desktop', 1280, 900], ['phone', 390, 844]];
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const TYPES = {
  '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.png': 'image/png',
  '.svg': 'image/svg+xml', '.webp': 'image/webp',
};
const PATIENCE = 30_000;

function find(name) {
  return (process.env.PATH ?? '').split(':').map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** Serves the built site on loopback. */
function serve() {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const files = [path, `${path}.html`, join(path, 'index.html')].map((one) => join(build, one));
    const found = files.find((one) => existsSync(one) && statSync(one).isFile());
    response.writeHead(found ? 200 : 404, { 'Content-Type': TYPES[extname(found ?? '')] ?? 'application/octet-stream' });
    response.end(found ? readFileSync(found) : 'not found');
  });
  return new Promise((done) => { server.listen(0, '127.0.0.1', () => done(server)); });
}

/** A session of chromedriver. */
class Browser {
  static async start(chromium, chromedriver) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'headwind-site-'));
    browser.driver = spawn(chromedriver, ['--port=0'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const port = await new Promise((done, failed) => {
      browser.driver.stdout.on('data', (text) => {
        const found = /successfully on port (\d+)/.exec(text);
        if (found) done(found[1]);
      });
      browser.driver.on('exit', () => failed(new Error('chromedriver ended')));
    });
    browser.url = `http://127.0.0.1:${port}`;
    // No name but that of this machine resolves: what the site loads from elsewhere fails.
    const args = [
      '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run',
      '--disable-background-networking', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
      `--user-data-dir=${browser.profile}`,
    ];
    const wanted = { 'goog:chromeOptions': { binary: chromium, args }, 'goog:loggingPrefs': { browser: 'ALL' } };
    const timeouts = { script: 4 * PATIENCE, pageLoad: 4 * PATIENCE };
    const capabilities = { alwaysMatch: { ...wanted, timeouts } };
    const { sessionId } = await browser.call('POST', '/session', { capabilities });
    browser.url += `/session/${sessionId}`;
    return browser;
  }

  async call(method, path, body) {
    const answer = await fetch(this.url + path, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.message}`);
    return value;
  }

  go(url) { return this.call('POST', '/url', { url }); }

  /** Runs a script, which passes its result to `done`. */
  run(script) {
    return this.call('POST', '/execute/async', { script: `const done = arguments[arguments.length - 1]; ${script}`, args: [] });
  }

  cdp(cmd, params) { return this.call('POST', '/goog/cdp/execute', { cmd, params }); }

  async until(what, condition) {
    const end = Date.now() + PATIENCE;
    while (!(await this.run(`done(!!(${condition}))`))) {
      if (Date.now() > end) throw new Error(`timed out waiting until ${what}`);
      await new Promise((done) => { setTimeout(done, 50); });
    }
  }

  async end() {
    await this.call('DELETE', '');
    this.driver.removeAllListeners('exit');
    this.driver.kill();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const axe = readFileSync(join(site, 'node_modules/axe-core/axe.min.js'), 'utf8');

/** Returns what is wrong with the page as it is now. */
async function faults(browser, origin, isAudited) {
  const found = [];
  const wide = await browser.run('done(document.documentElement.scrollWidth - document.documentElement.clientWidth)');
  if (wide > 0) found.push(`${wide} px too wide`);
  const loaded = await browser.run("done(performance.getEntriesByType('resource').map((one) => one.name))");
  const foreign = loaded.filter((name) => !name.startsWith(origin) && !name.startsWith('data:'));
  found.push(...foreign.map((name) => `loads ${name}`));
  const said = await browser.call('POST', '/se/log', { type: 'browser' });
  found.push(...said.map((one) => `the console says ${one.message}`));
  if (!isAudited) return found;
  if (await browser.run("done(typeof axe === 'undefined')")) await browser.run(`${axe}; done()`);
  const violations = await browser.run(`
    const first = (node) => (node.any[0] ?? node.all[0] ?? node.none[0])?.message;
    const shown = (one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.target.join(' ') + ' ' + first(node)).join(' | ');
    axe.run(document, { runOnly: ${JSON.stringify(RULES)} }).then(({ violations }) => done(violations.map(shown)));`);
  return found.concat(violations.map((one) => `axe: ${one}`));
}

async function check(browser, origin) {
  let wrong = 0;
  const report = (name, found) => {
    for (const fault of found) console.error(`${name}: ${fault}`);
    wrong += found.length;
  };
  for (const page of PAGES) {
    // Contrasts do not depend on the width, so the phone is audited in one theme.
    for (const theme of THEMES) {
      const features = [{ name: 'prefers-color-scheme', value: theme }, { name: 'prefers-reduced-motion', value: 'reduce' }];
      await browser.cdp('Emulation.setEmulatedMedia', { features });
      await browser.go(origin + page);
      await browser.until(`${page} is ${theme}`, `document.documentElement.dataset.theme === '${theme}'`);
      for (const [view, width, height] of WIDTHS) {
        await browser.cdp('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
        const name = `${page === '/' ? 'start' : page.slice(1).replaceAll('/', '-')}-${view}-${theme}`;
        writeFileSync(join(shots, `${name}.png`), Buffer.from(await browser.call('GET', '/screenshot'), 'base64'));
        report(name, await faults(browser, origin, view === 'desktop' || theme === 'light'));
      }
    }
  }
  await browser.go(`${origin}/search?q=rollback`);
  await browser.until('the search has results', "document.querySelectorAll('article').length > 2");
  report('search', await faults(browser, origin, false));
  return wrong;
}

const chromium = find('chromium') ?? find('google-chrome');
const chromedriver = find('chromedriver');
if (!chromium || !chromedriver) {
  console.error('SKIPPED check of the docs in a browser: chromium and chromedriver are not installed');
  process.exit(0);
}
mkdirSync(shots, { recursive: true });
const server = await serve();
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await Browser.start(chromium, chromedriver);
let wrong = 1;
try {
  wrong = await check(browser, origin);
} finally {
  await browser.end();
  server.close();
}
const views = `${PAGES.length} pages, ${THEMES.length} themes, ${WIDTHS.length} widths`;
console.log(`${views}: ${wrong} faults; pictures in ${shots}`);
process.exit(Number(wrong > 0));
