// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import { themes } from 'prism-react-renderer';
import { focusableTables } from './tables.mjs';

/** @type {string[]} Releases, newest first. */
const releases = existsSync('versions.json') ? JSON.parse(readFileSync('versions.json', 'utf8')) : [];
const version = /^version = "(.*)"/m.exec(readFileSync('../Cargo.toml', 'utf8'))?.[1];
const isFirst = releases.length === 0;

/** @type {import('@docusaurus/types').Config} */
export default {
  title: 'Headwind',
  tagline: 'Keeps Kubernetes workloads on the right version',
  favicon: 'favicon.svg',
  url: process.env.DOCS_URL ?? 'https://headwind.sh',
  baseUrl: process.env.DOCS_BASE_URL ?? '/',
  trailingSlash: false,
  onBrokenLinks: 'throw',
  onBrokenAnchors: 'throw',
  onDuplicateRoutes: 'throw',
  // Without cascade layers, whose substitute for old browsers is more specific than css/site.css.
  future: { faster: true, v4: { removeLegacyPostBuildHeadAttribute: true, useCssCascadeLayers: false } },
  markdown: {
    // The pages are plain Markdown, which is read in the repository too.
    format: 'detect',
    hooks: { onBrokenMarkdownLinks: 'throw', onBrokenMarkdownImages: 'throw' },
  },
  staticDirectories: ['static', 'generated'],
  presets: [[
    'classic',
    {
      docs: {
        path: 'content',
        routeBasePath: '/',
        sidebarPath: './sidebars.json',
        breadcrumbs: false,
        rehypePlugins: [focusableTables],
        lastVersion: isFirst ? 'current' : releases[0],
        versions: {
          current: isFirst
            ? { label: `${version} (unreleased)`, banner: 'none' }
            : { label: 'next', path: 'next', banner: 'unreleased' },
        },
      },
      blog: false,
      pages: false,
      sitemap: false,
      theme: { customCss: './css/site.css' },
    },
  ]],
  themes: [[
    '@easyops-cn/docusaurus-search-local',
    { hashed: true, indexBlog: false, indexPages: false, docsRouteBasePath: '/', docsDir: 'content', language: ['en'], searchBarShortcutHint: false },
  ]],
  themeConfig: {
    colorMode: { respectPrefersColorScheme: true },
    navbar: {
      title: 'Headwind',
      logo: { src: 'favicon.svg', alt: '' },
      items: [
        { type: 'doc', docId: 'getting-started', label: 'Get started' },
        { type: 'doc', docId: 'reference/annotations', label: 'Reference' },
        { type: 'docsVersionDropdown', position: 'right' },
      ],
    },
    prism: { theme: themes.vsLight, darkTheme: themes.vsDark, additionalLanguages: ['bash', 'json', 'yaml'] },
  },
};
