// Colours of packages: the largest packages have hues of their own, far from each other; the runtime
// and what nobody knows are grey. A frame without a package has that of what holds it.

import { framePackage } from "./names.mjs";

const HUES = [214, 150, 32, 272, 350, 184, 60, 316, 110, 244, 14, 84];
const GREY = 255;
const PLAIN = new Set(["runtime", "$runtime", ""]);

// { of: by node, the number of a colour; pkg: by node, its package }
export function colourTree(tree) {
	const names = tree.frames.map(framePackage);
	const pkg = new Array(tree.n).fill("");
	for (let i = 1; i < tree.n; i++)
		pkg[i] = names[tree.frame[i]] || pkg[tree.parent[i]];
	const number = new Map(packageSizes(tree, pkg, 0).filter(([name]) => !PLAIN.has(name)).map(([name], i) => [name, i % HUES.length]));
	return { of: Uint8Array.from(pkg, (name) => (number.has(name) ? number.get(name) : GREY)), pkg };
}

// [package, bytes] of what is at the node or below, the largest first.
function packageSizes(tree, pkg, top) {
	const inside = tree.below([top]);
	const sizes = new Map();
	for (let i = top; i < tree.n; i++)
		if (inside[i])
			sizes.set(pkg[i], (sizes.get(pkg[i]) || 0) + tree.ownBytes[i]);
	return [...sizes].sort((a, b) => b[1] - a[1]);
}

// [{ name, colour }] of what can be seen below the node.
export function legendOf(tree, { of, pkg }, top) {
	const least = tree.bytes[top] / 200;
	return packageSizes(tree, pkg, top).filter(([name, size]) => !PLAIN.has(name) && size > least).slice(0, HUES.length)
		.map(([name]) => ({ name, colour: of[pkg.indexOf(name)] }));
}

// A frame's fill. shade: 0 to 2, so that neighbours differ a little.
export function fillOf(colour, shade, dark) {
	if (colour === GREY)
		return dark ? `hsl(220 6% ${29 + shade * 2}%)` : `hsl(220 10% ${86 - shade * 2}%)`;
	const hue = HUES[colour] + (shade - 1) * 7;
	return dark ? `hsl(${hue} 34% ${28 + shade * 3.5}%)` : `hsl(${hue} 64% ${86 - shade * 4}%)`;
}

export function swatchOf(colour, dark) {
	return colour === GREY ? fillOf(colour, 1, dark) : dark ? `hsl(${HUES[colour]} 38% 46%)` : `hsl(${HUES[colour]} 60% 70%)`;
}
