// Bundles the page of a granted port and the console into their folders dist: a document, and
// scripts and styles whose names have their hashes, these also compressed. "make pages" runs it.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "../node_modules");
const { version } = JSON.parse(readFileSync(join(modules, "@novnc/novnc/package.json"), "utf8"));
const notice = `/* Contains noVNC ${version}, Copyright (C) The noVNC authors, licensed under MPL 2.0; its source: https://github.com/novnc/noVNC. Contains pako, MIT licence. */`;

// noVNC waits, before anything of it runs, until the browser has tried to decode a picture of H.264. The relay passes no H.264 on, so
// the first picture needn't wait for that.
const withoutProbe = {
  name: "without noVNC's probe for H.264",
  setup({ onLoad }) {
    onLoad({ filter: /@novnc\/novnc\/core\/util\/browser\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const contents = source.replace(/^supportsWebCodecsH264Decode = await .*$/m, "");
      if (contents === source) throw new Error(`${path} isn't what it was`);
      return { contents };
    });
  },
};

const common = { bundle: true, minify: true, write: false, format: "esm", target: ["es2022"], charset: "utf8", nodePaths: [modules], plugins: [withoutProbe] };

// write puts a file and its compressed forms into a folder dist.
function write(dist, name, data) {
  mkdirSync(dist, { recursive: true });
  writeFileSync(join(dist, name), data);
  writeFileSync(join(dist, `${name}.gz`), gzipSync(data, { level: 9 }));
  writeFileSync(join(dist, `${name}.br`), brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}

const hashed = (name, data) => name.replace(/(\.\w+)$/, `-${createHash("sha256").update(data).digest("hex").slice(0, 16)}$1`);

// The page of a granted port is one script, and its style is in the document.
async function granted() {
  const dist = join(here, "../dist");
  const [script] = (await build({ ...common, entryPoints: [join(here, "page.js")], banner: { js: notice } })).outputFiles;
  const [style] = (await build({ ...common, entryPoints: [join(here, "page.css")] })).outputFiles;
  const name = hashed("page.js", script.contents);
  write(dist, name, script.contents);
  const html = readFileSync(join(here, "index.html"), "utf8")
    .replace('<link rel="stylesheet" href="page.css">', `<style>${style.text.trim()}</style>`)
    .replace('src="page.js"', `src="${name}"`);
  writeFileSync(join(dist, "index.html"), html);
}

// The console loads what only a view needs when there is one, and a language when it is spoken.
async function gate() {
  const page = join(here, "../../gate/web/page");
  const dist = join(page, "../dist");
  const { outputFiles } = await build({
    ...common, splitting: true, outdir: dist, entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]",
    entryPoints: [join(page, "app.js"), join(page, "app.css")],
  });
  let html = readFileSync(join(page, "index.html"), "utf8");
  for (const { path, text } of outputFiles) {
    const name = basename(path);
    const noVNC = text.includes("FramebufferUpdate") && name.endsWith(".js");
    write(dist, name, Buffer.from(noVNC ? `${notice}\n${text}` : text));
    html = html.replace(/(?<=(?:src|href)=")app\.(?:js|css)(?=")/g, (entry) =>
      name.startsWith("app-") && name.endsWith(entry.slice(3)) ? `/${name}` : entry);
  }
  writeFileSync(join(dist, "index.html"), html);
}

await granted();
await gate();
