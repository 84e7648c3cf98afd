// The tables below the graph, one behind each tab; a row's name leads to its place in the graph.

import { breakable, el } from "./dom.mjs";
import { makeMatcher } from "./explorer.mjs";
import { bytesText, countText, shareText, timeText } from "./format.mjs";
import { frameParts, shortName } from "./names.mjs";
import { Table } from "./table.mjs";

// The whole name is in the title.
function link(text, title, onclick) {
	return el("button", { type: "button", class: "link", title, onclick }, breakable(text));
}

// A number's cell, with a bar for its share of the largest.
function sized(key, label, get, most, title) {
	return {
		key, label, title, num: true, value: get,
		cell: (row) => el("span", { class: "sized" },
			el("span", { class: "bar", style: { width: `${most ? Math.max(0, 100 * get(row) / most) : 0}%` } }),
			el("span", null, bytesText(get(row)))),
	};
}

function counted(key, label, get, title) {
	return { key, label, title, num: true, value: get, cell: (row) => countText(get(row)) };
}

function most(rows, get) {
	return rows.reduce((m, row) => Math.max(m, get(row)), 0);
}

// "net/http.(*conn).serve (net/http/server.go:2102)"
export function callText(at) {
	return at.file ? `${shortName(at.function)} (${at.file.split("/").slice(-2).join("/")}:${at.line})` : shortName(at.function);
}

export function pathText(path) {
	return path.map((frame) => shortName(frameParts(frame).field)).join(" › ");
}

// Suspects that are in a tree, by the path that leads there; what is no one's (garbage) is in none.
export function suspectPath(suspect) {
	return ["variable", "local", "goroutines"].includes(suspect.kind) ? suspect.path : null;
}

function suspectsTable({ report, words }, explorer) {
	const rows = report.suspects.map((s, i) => ({ ...s, n: i + 1, words: words.suspects[i] || [] }));
	return {
		id: "suspects", label: "Suspects", rows, sort: { column: "n", up: true },
		text: (s) => [s.what, s.kind, ...s.path, ...s.words].join(" "),
		columns: [
			{ key: "n", label: "#", num: true, value: (s) => s.n },
			{ key: "what", label: "what", value: (s) => s.what,
				cell: (s) => (suspectPath(s) ? link(shortName(s.what), s.what, () => explorer.go("retained", s.path)) :
					s.source ? link(s.what, s.source.function, () => explorer.goGoroutines(s.source.function)) : el("span", { class: "mono" }, s.what)) },
			{ key: "kind", label: "kind", value: (s) => s.kind },
			{ key: "share", label: "share", num: true, value: (s) => s.share, cell: (s) => shareText(s.share, 1) },
			sized("retained", "keeps", (s) => s.retained_bytes, most(rows, (s) => s.retained_bytes)),
			{ key: "alone", label: "alone", num: true, value: (s) => s.alone_bytes, cell: (s) => bytesText(s.alone_bytes),
				title: "What its root keeps by itself" },
			{ key: "path", label: "path", value: (s) => s.path.join(";"), cell: (s) => el("span", { class: "mono", title: s.path.join("\n") }, breakable(pathText(s.path))) },
		],
	};
}

function rootsTable({ report }, explorer) {
	const rows = report.roots;
	const retained = rows.some((r) => r.retained_bytes !== undefined);
	return {
		id: "roots", label: "Roots", rows, sort: { column: "live", up: false }, text: (r) => `${r.name} ${r.kind}`,
		columns: [
			{ key: "name", label: "root", value: (r) => r.name,
				cell: (r) => link(rootText(r.name), r.name, () => explorer.go("bytes", rootPath(explorer.data.paths, r.name))) },
			{ key: "kind", label: "kind", value: (r) => r.kind },
			sized("live", "live", (r) => r.live_bytes, most(rows, (r) => r.live_bytes)),
			counted("objects", "objects", (r) => r.objects),
			retained && sized("retained", "retained", (r) => r.retained_bytes || 0, most(rows, (r) => r.retained_bytes || 0),
				"What would be free without it"),
		].filter(Boolean),
	};
}

function rootText(name) {
	return name.startsWith("[") ? name.split(";").map(shortName).join(" › ") : shortName(name);
}

// A root's name is a frame, or a group's and its child's with a semicolon between.
export function rootPath(tree, name) {
	if (tree.find([name], true) > 0)
		return [name];
	for (let i = name.indexOf(";"); i >= 0; i = name.indexOf(";", i + 1)) {
		const path = [name.slice(0, i), name.slice(i + 1)];
		if (tree.find(path, true) > 0)
			return path;
	}
	return [];
}

function typesTable({ report }, explorer) {
	const rows = report.types;
	return {
		id: "types", label: "Types", rows, sort: { column: "retained", up: false }, text: (t) => t.type,
		columns: [
			{ key: "type", label: "type", value: (t) => t.type,
				cell: (t) => link(t.type, t.type, () => explorer.goType(t.type)) },
			counted("objects", "objects", (t) => t.objects),
			sized("bytes", "bytes", (t) => t.bytes, most(rows, (t) => t.bytes)),
			sized("retained", "retained", (t) => t.retained_bytes, most(rows, (t) => t.retained_bytes), "What would be free without them"),
		],
	};
}

function goroutinesTable({ report }, explorer) {
	const rows = report.goroutines || [];
	return {
		id: "goroutines", label: "Goroutines", rows, sort: { column: "count", up: false },
		text: (g) => [g.function, g.state, g.verdict, ...g.stack.map((f) => `${f.function} ${f.file || ""}`),
			g.created_by ? g.created_by.function : ""].join(" "),
		columns: [
			{ key: "function", label: "in", value: (g) => g.function, cell: (g) => goroutineCell(g, explorer) },
			counted("count", "count", (g) => g.count),
			{ key: "verdict", label: "verdict", value: (g) => g.verdict, cell: (g) => el("span", { class: `badge ${g.verdict}` }, g.verdict) },
			{ key: "state", label: "state", value: (g) => g.state },
			{ key: "wait", label: "for", num: true, value: (g) => g.wait_ns_max || 0,
				cell: (g) => (g.wait_ns_max ? timeText(g.wait_ns_max) : "") },
			sized("alone", "keep alone", (g) => g.alone_bytes, most(rows, (g) => g.alone_bytes)),
			sized("stacks", "stacks", (g) => g.stack_bytes, most(rows, (g) => g.stack_bytes)),
		],
	};
}

function goroutineCell(g, explorer) {
	const frames = g.stack.map((f) => el("li", null, el("span", { class: "mono" }, breakable(f.function)),
		f.file && el("span", { class: "place" }, ` ${f.file}:${f.line}`)));
	if (g.created_by)
		frames.push(el("li", null, "made by ", el("span", { class: "mono" }, breakable(g.created_by.function)),
			g.created_by.file && el("span", { class: "place" }, ` ${g.created_by.file}:${g.created_by.line}`)));
	return el("div", null, link(shortName(g.function), g.function, () => explorer.goGoroutines(g.function)),
		el("details", null, el("summary", null, `stack, ${countText(g.stack.length)} calls`), el("ol", { class: "stack" }, frames)));
}

const WASTE = {
	pinned: ["Buffers pinned by small slices and strings", "buffers"],
	slack: ["Capacity that slices do not use", "slices"],
	maps: ["Maps with room for many more", "maps"],
};

function wasteTable({ report }, explorer, kind) {
	const rows = report.waste[kind];
	return {
		id: kind, label: WASTE[kind][0], rows, sort: { column: "wasted", up: false }, text: (w) => w.path.join(" "),
		columns: [
			{ key: "path", label: "at", value: (w) => w.path.join(";"),
				cell: (w) => link(pathText(w.path), w.path.join("\n"), () => explorer.go("bytes", w.path)) },
			counted("count", WASTE[kind][1], (w) => w.count),
			kind === "maps" && counted("entries", "entries", (w) => w.entries),
			sized("bytes", "take", (w) => w.bytes, most(rows, (w) => w.bytes)),
			sized("wasted", "do not use", (w) => w.wasted_bytes, most(rows, (w) => w.wasted_bytes)),
		].filter(Boolean),
	};
}

function wasteNote(w) {
	const measured = w.large_bytes ? `${shareText(w.measured_bytes, w.large_bytes)} of large objects' bytes were measured` : "there are no large objects";
	return `Pinned ${bytesText(w.pinned_bytes)}, slices' slack ${bytesText(w.slack_bytes)}, maps ${bytesText(w.maps_bytes)}; ${measured}. ` +
		`Size classes cost ${bytesText(w.size_classes_bytes)}, known of ${bytesText(w.size_classes_measured_bytes)}.`;
}

// The ways of --why: which roots lead to what was asked for.
function whyTable({ report }, explorer) {
	const rows = report.why.ways;
	return {
		id: "why", label: `Why ${report.why.pattern}`, rows, sort: { column: "n", up: true }, text: (w) => w.path.join(" "),
		columns: [
			{ key: "n", label: "#", num: true, value: (w) => rows.indexOf(w) + 1 },
			{ key: "path", label: "way", value: (w) => w.path.join(";"),
				cell: (w) => link(pathText(w.path), w.path.join("\n"), () => explorer.go("bytes", w.path)) },
			counted("objects", "objects behind it", (w) => w.objects),
			sized("bytes", "bytes", (w) => w.bytes, most(rows, (w) => w.bytes)),
			{ key: "example", label: "example", value: (w) => w.example, cell: (w) => el("span", { class: "mono" }, w.example) },
		],
	};
}

export class Tables {
	constructor(data, explorer, state, changed) {
		this.state = state;
		this.changed = changed;
		const { report } = data;
		this.tabs = [suspectsTable, rootsTable, typesTable].map((make) => make(data, explorer)).map((t) => ({ ...t, tables: [t] }));
		if (report.why) {
			const t = whyTable(data, explorer);
			this.tabs.unshift({ ...t, tables: [t] });
		}
		if (report.goroutines) {
			const t = goroutinesTable(data, explorer);
			this.tabs.push({ ...t, tables: [t] });
		}
		if (report.waste)
			this.tabs.push({ id: "waste", label: "Waste", note: wasteNote(report.waste), tables: Object.keys(WASTE).map((kind) => wasteTable(data, explorer, kind)) });
		this.build();
	}

	build() {
		this.only = el("input", { type: "search", id: "only", placeholder: "Filter rows", spellcheck: "false", autocomplete: "off",
			oninput: () => this.filterSoon() });
		this.list = el("div", { class: "tabs", role: "tablist", "aria-label": "Tables", onkeydown: (e) => this.key(e) });
		const panels = this.tabs.map((tab) => {
			const rows = tab.tables.reduce((n, t) => n + t.rows.length, 0);
			tab.button = el("button", { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`,
				onclick: () => this.open(tab) }, tab.label, el("span", { class: "count" }, ` ${countText(rows)}`));
			this.list.append(tab.button);
			return (tab.panel = el("div", { role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}`, hidden: true }));
		});
		this.root = el("section", { class: "card", id: "tables", "aria-labelledby": "tables-title" },
			el("h2", { id: "tables-title", class: "unseen" }, "Tables"),
			el("div", { class: "card-head" }, this.list,
				el("div", null, el("label", { for: "only", class: "unseen" }, "Filter rows"), this.only)), panels);
	}

	// A tab's tables are made when they are first to be seen, or printed.
	make(tab) {
		if (tab.made)
			return;
		tab.made = tab.tables.map((t) => new Table({ ...t, caption: `Table: ${t.label}`,
			onsort: (sort) => {
				this.state.sort = { table: t.id, ...sort };
				this.changed(false);
			} }));
		if (tab.note)
			tab.panel.append(el("p", { class: "note" }, tab.note));
		tab.panel.append(...tab.made.flatMap((t, i) => (tab.made.length > 1 ? [el("h3", null, tab.tables[i].label), t.root] : [t.root])));
		this.update(tab);
	}

	makeAll() {
		this.tabs.forEach((tab) => this.make(tab));
	}

	update(tab) {
		const { sort, only } = this.state;
		for (const table of tab.made || [])
			table.show(sort && sort.table === table.id ? sort : null, only ? makeMatcher(only).matches : null);
	}

	apply() {
		const { only, tab } = this.state;
		this.only.value = only;
		this.tabs.forEach((t) => this.update(t));
		this.show(this.tabs.find((t) => t.id === tab) || this.tabs.find((t) => t.tables[0].rows.length) || this.tabs[0]);
	}

	show(tab) {
		this.make(tab);
		for (const t of this.tabs) {
			t.button.setAttribute("aria-selected", String(t === tab));
			t.button.tabIndex = t === tab ? 0 : -1;
			t.panel.hidden = t !== tab;
		}
		this.shown = tab;
	}

	open(tab) {
		this.show(tab);
		this.state.tab = tab.id;
		this.changed(false);
	}

	// From elsewhere in the page: the tab, with the rows that match.
	go(id, only) {
		Object.assign(this.state, { tab: id, only });
		this.apply();
		this.changed(true);
		this.root.scrollIntoView({ block: "start" });
		this.shown.button.focus({ preventScroll: true });
	}

	key(event) {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (!step)
			return;
		event.preventDefault();
		const n = this.tabs.length;
		const tab = this.tabs[(this.tabs.indexOf(this.shown) + step + n) % n];
		this.open(tab);
		tab.button.focus();
	}

	filterSoon() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => {
			this.state.only = this.only.value;
			this.apply();
			this.changed(false);
		}, 120);
	}
}
