// The page's data: base64 of a deflated JSON text in an element that is no script.

import { Tree } from "./tree.mjs";

function fromBase64(text) {
	const raw = atob(text.replace(/\s+/g, ""));
	const out = new Uint8Array(raw.length);
	for (let i = 0; i < raw.length; i++)
		out[i] = raw.charCodeAt(i);
	return out;
}

export async function unpack(text) {
	const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
	return JSON.parse(await new Response(stream).text());
}

// { report, words, version, paths, owners, frames, places }; owners: null where there is no graph. Trees are
// made when they are wanted.
export function readData(raw) {
	// With --all the tree of paths has what is not live, too.
	const all = raw.paths.bytes.reduce((sum, n) => sum + n, 0);
	const top = all > raw.report.coverage.live_bytes ? "all memory" : undefined;
	const tree = (columns, name) => {
		let made = null;
		return () => (made ||= columns ? new Tree(columns, raw.frames, name) : null);
	};
	const paths = tree(raw.paths, top);
	const owners = tree(raw.owners);
	return {
		report: raw.report,
		words: raw.words,
		version: raw.version,
		frames: raw.frames,
		places: new Map(raw.places.map(([frame, file, line]) => [raw.frames[frame], `${file}:${line}`])),
		hasOwners: Boolean(raw.owners),
		get paths() {
			return paths();
		},
		get owners() {
			return owners();
		},
	};
}
