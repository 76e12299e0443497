// Writes the icon sprite, and copies htmx, its SSE extension and the licence notices into crates/web/assets.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";

/** Names of the lucide icons that the UI uses. A Rust test fails if a page uses an icon that is not in this list. */
const ICONS = [
  "arrow-down", "arrow-right", "arrow-up", "ban", "boxes", "calendar-clock", "chart-line", "check", "chevron-down", "chevron-left",
  "chevron-right", "chevrons-right", "chevrons-up-down", "circle-check", "circle-check-big", "circle-dashed", "circle-minus", "clock",
  "clock-alert", "copy", "database", "download", "fingerprint", "git-pull-request-arrow", "hand", "inbox", "info", "keyboard", "layers",
  "loader-circle", "lock", "log-out", "monitor", "moon", "octagon-x", "pause", "radar", "refresh-cw", "search", "server", "settings",
  "shield-check", "shield-off", "ship-wheel", "split", "sun", "thumbs-up", "timer-off", "triangle-alert", "undo-2", "unplug", "user",
  "webhook", "x",
];

const module = (path) => new URL(`node_modules/${path}`, import.meta.url);
const asset = (name) => new URL(`../crates/web/assets/${name}`, import.meta.url);
const text = (path) => readFileSync(module(path), "utf8");

const symbol = (name) => {
  const svg = text(`lucide-static/icons/${name}.svg`).replace(/<!--[\s\S]*?-->/g, "");
  const body = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
  const lines = body.replace(/\s+/g, " ").replace(/ \/>/g, "/>").trim();
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${lines}</symbol>`;
};
const sprite = ICONS.map(symbol).join("\n");
writeFileSync(asset("icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg"><!-- Icons of lucide, ISC licence: see LICENSES.txt -->\n${sprite}\n</svg>\n`);

copyFileSync(module("htmx.org/dist/htmx.min.js"), asset("htmx.js"));
copyFileSync(module("htmx-ext-sse/dist/sse.min.js"), asset("sse.js"));

const LICENCES = ["htmx.org", "htmx-ext-sse", "lucide-static", "tailwindcss", "daisyui"];
const notice = (name) => {
  const { version } = JSON.parse(text(`${name}/package.json`));
  return `${name} ${version}\n\n${text(`${name}/LICENSE`).trim()}\n`;
};
writeFileSync(asset("LICENSES.txt"), `The files of this folder contain parts of the following packages.\n\n${LICENCES.map(notice).join(`\n${"-".repeat(80)}\n\n`)}`);
