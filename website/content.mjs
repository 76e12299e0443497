// Assembles what the site shows: the pages of docs/ and the pages beside it, for this checkout and for each release.
//
// The pages stay where they are and read well in the repository. Here they are copied, and links that lead out of docs/
// are rewritten: to the copy of a page, or to a copy of the file.

import { execFileSync } from 'node:child_process';
import {
  cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';

/** Pages outside of docs/, with their place on the site. */
const BESIDE = {
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'SECURITY.md': 'security-policy.md',
  'examples/README.md': 'examples.md',
};
const SIDEBARS = 'website/sidebars.json';
/** Folders that this program writes, and git ignores. */
const WRITTEN = ['content', 'generated', 'versioned_docs', 'versioned_sidebars', 'versions.json'];

function walk(folder, inside = '') {
  const names = readdirSync(join(folder, inside)).sort();
  return names.flatMap((name) => {
    const path = posix.join(inside, name);
    return statSync(join(folder, path)).isDirectory() ? walk(folder, path) : [path];
  });
}

/** Returns the place on the site of a page of the repository. */
export function place(path) {
  if (path === 'README.md') return 'README.md';
  if (path.startsWith('docs/') && path.endsWith('.md')) return path.slice('docs/'.length);
  return BESIDE[path];
}

/**
 * Rewrites the links of a page. `link` gets the path of the target in the repository and returns what replaces it.
 * Code is left alone. Fails on a link to nothing.
 */
export function rewrite(path, text, link) {
  let fence = '';
  return text.split('\n').map((line) => {
    const mark = /^ *(`{3,})/.exec(line)?.[1];
    if (mark && !fence) fence = mark;
    else if (mark && mark.length >= fence.length) fence = '';
    else if (!fence) {
      return line.replace(/\]\(([^)\s]+)\)/g, (whole, target) => {
        const [file, anchor] = target.split('#');
        if (!file || file.includes(':')) return whole;
        return `](${link(posix.join(posix.dirname(path), file))}${anchor === undefined ? '' : `#${anchor}`})`;
      });
    }
    return line;
  }).join('\n');
}

/** Copies the pages of a checkout into a folder, and the files that they link to into another one. */
function assemble(root, content, files, address) {
  const inside = walk(join(root, 'docs')).map((path) => `docs/${path}`);
  const pages = inside.concat(Object.keys(BESIDE).filter((path) => existsSync(join(root, path))));
  for (const path of pages) {
    const target = join(content, place(path) ?? path.slice('docs/'.length));
    mkdirSync(dirname(target), { recursive: true });
    if (!path.endsWith('.md')) {
      cpSync(join(root, path), target);
      continue;
    }
    const text = rewrite(path, readFileSync(join(root, path), 'utf8'), (linked) => {
      const page = place(linked);
      if (page) return posix.relative(posix.dirname(place(path)), page);
      if (linked.startsWith('docs/')) return posix.relative(posix.dirname(place(path)), linked.slice('docs/'.length));
      if (!existsSync(join(root, linked))) throw new Error(`${path} links to ${linked}, which does not exist`);
      cpSync(join(root, linked), join(files, linked), { recursive: true });
      return `pathname://${address}${linked}`;
    });
    writeFileSync(target, text);
  }
}

/** Returns the tag of the newest release of each minor version, newest first. */
export function newest(tags) {
  const releases = tags.map((tag) => /^v(\d+)\.(\d+)\.(\d+)$/.exec(tag)).filter(Boolean)
    .map((found) => ({ tag: found[0], numbers: found.slice(1).map(Number) }))
    .sort((one, other) => [0, 1, 2].map((at) => other.numbers[at] - one.numbers[at]).find(Boolean) ?? 0);
  const minors = new Map();
  for (const { tag, numbers } of releases) {
    const minor = `${numbers[0]}.${numbers[1]}`;
    if (!minors.has(minor)) minors.set(minor, tag);
  }
  return [...minors].map(([version, tag]) => ({ version, tag }));
}

function git(root, ...args) {
  return execFileSync('git', ['-C', root, ...args], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
}

function releases(root) {
  try {
    const tags = git(root, 'tag', '--list', 'v*').toString().split('\n');
    return newest(tags).filter(({ tag }) => git(root, 'ls-tree', tag, SIDEBARS).length > 0);
  } catch {
    // Not a checkout of git, or without the objects of its tags.
    return [];
  }
}

/** Writes the content of the site in the folder `site` of the checkout `root`. Returns the versions of releases. */
export function write(root, site, base) {
  for (const name of WRITTEN) rmSync(join(site, name), { recursive: true, force: true });
  const files = (version) => [join(site, 'generated/files', version), `${base}files/${version}/`];
  assemble(root, join(site, 'content'), ...files('next'));
  const all = releases(root);
  for (const { version, tag } of all) {
    const old = mkdtempSync(join(tmpdir(), 'headwind-docs-'));
    execFileSync('tar', ['-x', '-C', old], { input: git(root, 'archive', tag) });
    assemble(old, join(site, 'versioned_docs', `version-${version}`), ...files(version));
    mkdirSync(join(site, 'versioned_sidebars'), { recursive: true });
    cpSync(join(old, SIDEBARS), join(site, 'versioned_sidebars', `version-${version}-sidebars.json`));
    rmSync(old, { recursive: true });
  }
  if (all.length > 0) writeFileSync(join(site, 'versions.json'), JSON.stringify(all.map(({ version }) => version)));
  return all.map(({ version }) => version);
}
