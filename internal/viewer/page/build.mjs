// Bundles the page of a granted port into dist: index.html, and one script with a name that
// is its hash, both also compressed. "make novnc" runs it.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "dist");
const { version } = JSON.parse(readFileSync(join(here, "../node_modules/@novnc/novnc/package.json"), "utf8"));

const banner = `/* Contains noVNC ${version}, Copyright (C) The noVNC authors, licensed under MPL 2.0; its source: https://github.com/novnc/noVNC. Contains pako, MIT licence. */`;
const { outputFiles } = buildSync({
  entryPoints: [join(here, "page.js")],
  bundle: true, minify: true, write: false, format: "esm", target: ["es2022"], banner: { js: banner }, charset: "utf8",
});
const script = Buffer.from(outputFiles[0].contents);
const name = `page-${createHash("sha256").update(script).digest("hex").slice(0, 16)}.js`;
const html = Buffer.from(readFileSync(join(here, "index.html"), "utf8").replace('src="page.js"', `src="${name}"`));

mkdirSync(dist, { recursive: true });
for (const [file, data] of [["index.html", html], [name, script]]) {
  writeFileSync(join(dist, file), data);
  writeFileSync(join(dist, `${file}.gz`), gzipSync(data, { level: 9 }));
  writeFileSync(join(dist, `${file}.br`), brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}
