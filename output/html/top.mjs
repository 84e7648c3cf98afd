// The top of the page: which process, is the picture whole, what is wrong, where all memory is.

import { breakable, el } from "./dom.mjs";
import { bytesText, manyText, shareText, whenText } from "./format.mjs";
import { memoryParts } from "./memory.mjs";
import { plainText } from "./explorer.mjs";
import { suspectPath } from "./tables.mjs";
import { tipFor } from "./tip.mjs";

function baseName(path) {
	return path.replace(/^.*\/(?=[^/])/, "");
}

export function header({ report, words }, themeButton) {
	const p = report.process;
	const facts = [
		p.pid && `pid ${p.pid}`, `${p.go} ${p.goarch}`, manyText(p.threads, "thread"), manyText(p.goroutines, "goroutine"), whenText(p.time),
	].filter(Boolean);
	return el("header", { class: "top" },
		el("div", { class: "top-head" },
			el("h1", null, breakable(baseName(p.exe || p.target))), themeButton),
		el("p", { class: "facts-line" }, facts.map((text) => el("span", null, text))),
		el("dl", { class: "lines" },
			linesOf(words.coverage), linesOf(words.stop),
			report.notes.map((note) => factLine("note", note))));
}

// ["coverage     65.1 MiB live ...", "unnamed 0.00 % ..."]: the first word is the label.
function linesOf(lines) {
	const [, label, first] = /^(\w+) {2,}(.*)$/.exec(lines[0]) || [null, "", lines[0]];
	return factLine(label, [first, ...lines.slice(1)].join("; "));
}

function factLine(label, text) {
	return el("div", null, el("dt", null, label), el("dd", null, text));
}

// With --fold=none a path can have hundreds of steps.
const LONG = 320;

function shorter(line) {
	return line.length > LONG ? `${line.slice(0, LONG / 2)} … ${line.slice(-LONG / 2)}` : line;
}

export function verdict({ report, words }, explorer, tables) {
	const items = report.suspects.map((s, i) => {
		const [first, ...more] = words.suspects[i] || [s.what];
		const path = suspectPath(s);
		return el("li", { class: "suspect" },
			el("div", { class: "share", "aria-hidden": "true" }, bytesText(s.retained_bytes + (s.stack_bytes || 0))),
			el("div", null,
				el("p", { class: "suspect-head" }, breakable(first)),
				more.map((line) => el("p", { class: "suspect-more", title: line.length > LONG ? line : null }, breakable(shorter(line)))),
				path && el("button", { type: "button", class: "show", onclick: () => explorer.go("retained", path) }, "Show in the graph"),
				["goroutines", "leaked"].includes(s.kind) && el("button", { type: "button", class: "show",
					onclick: () => tables.go("goroutines", s.kind === "leaked" ? "leaked" : plainText(s.what)) }, "Show the goroutines")));
	});
	const none = explorer.data.hasOwners ? "None: nothing keeps a large part of the heap." : "Not looked for: there is no graph of objects (--graph=no).";
	return el("section", { class: "card verdict", "aria-labelledby": "verdict-title" },
		el("h2", { id: "verdict-title" }, "Suspects"),
		items.length ? el("ol", { class: "suspects" }, items) : el("p", null, none));
}

export function memoryBar({ report, words }) {
	const parts = memoryParts(report);
	if (!parts.length)
		return "";
	const whole = parts.reduce((sum, p) => sum + p.bytes, 0);
	const said = (p) => [el("div", { class: "tip-name" }, p.live ? `live: ${p.label}` : p.label),
		el("div", null, `${bytesText(p.bytes)}, ${shareText(p.bytes, whole)}`), el("p", null, p.what)];
	const bar = el("div", { class: "memory-bar", "aria-hidden": "true" }, parts.map((p) =>
		tipFor(el("span", { class: `part ${p.key}`, style: { "flex-grow": p.bytes } }), () => said(p))));
	const item = (p) => el("li", null, tipFor(el("button", { type: "button", class: "part-name", "aria-label": `${p.label}: ${bytesText(p.bytes)}. ${p.what}` },
		el("span", { class: `swatch ${p.key}` }), el("span", null, p.label), el("span", { class: "num" }, bytesText(p.bytes))), () => said(p)));
	const live = parts.filter((p) => p.live);
	const rest = parts.filter((p) => !p.live && !p.outside);
	const others = parts.filter((p) => p.outside);
	const outside = words.outside.map((line) => line.replace(/^outside {2,}/, ""));
	return el("section", { class: "card memory", "aria-labelledby": "memory-title" },
		el("div", { class: "card-head" }, el("h2", { id: "memory-title" }, "Memory"),
			el("span", { class: "total" }, `${bytesText(whole)} in all`)),
		bar,
		el("div", { class: "parts" },
			el("div", null, el("h3", null, `Live, ${bytesText(live.reduce((s, p) => s + p.bytes, 0))}`), el("ul", null, live.map(item))),
			el("div", null, el("h3", null, "Go's, not live"), el("ul", null, rest.map(item)),
				others.length ? [el("h3", { class: "next" }, "Not Go's"), el("ul", null, others.map(item))] : "")),
		outside.length ? el("p", { class: "note" }, outside.join("; ")) : "");
}
