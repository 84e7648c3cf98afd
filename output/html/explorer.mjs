// The graph with all that is around it: what it measures, search, the way down, what is hidden, and
// what is known of the frame that is looked at.

import { colourTree, legendOf, swatchOf } from "./colours.mjs";
import { breakable, el } from "./dom.mjs";
import { Flame } from "./flame.mjs";
import { bytesText, countText, manyText, shareText } from "./format.mjs";
import { frameLabels, frameParts, shortName } from "./names.mjs";
import { Outline } from "./outline.mjs";
import { hideTip, showTip } from "./tip.mjs";
import { layTree, searchTree } from "./tree.mjs";

const VIEW_WORDS = {
	bytes: ["Live bytes", "Each object once: at the shortest path from its owner."],
	objects: ["Objects", "The same paths, by the number of objects."],
	retained: ["Retained", "Each object below what alone keeps it: a frame's width is what would be free without it."],
};

// A regular expression; small letters match large ones, too. Text that is none is looked for as it is.
export function makeMatcher(text) {
	try {
		const expression = new RegExp(text, /[A-Z]/.test(text) ? "" : "i");
		return { matches: (s) => expression.test(s), error: "" };
	} catch (e) {
		return { matches: (s) => s.includes(text), error: "no regular expression: looked for as it is" };
	}
}

export class Explorer {
	// state: state.mjs's; changed(push): it has changed, push: as a step that Back undoes
	constructor(data, state, changed) {
		this.data = data;
		this.state = state;
		this.changed = changed;
		this.colours = new Map();
		this.build();
	}

	get tree() {
		return this.isOwners ? this.data.owners : this.data.paths;
	}

	get isOwners() {
		return this.state.view === "retained" && this.data.hasOwners;
	}

	build() {
		this.search = el("input", { type: "search", id: "search", placeholder: "Search: a regular expression", spellcheck: "false",
			autocomplete: "off", "aria-describedby": "found", oninput: () => this.searchSoon() });
		this.found = el("output", { id: "found", for: "search" });
		const { rules } = this.data.report;
		const dominators = rules && rules.tree === "dominators";
		this.views = el("div", { class: "segments", role: "radiogroup", "aria-label": "What a frame's width is" },
			Object.entries(VIEW_WORDS).filter(([view]) => view !== "retained" || this.data.hasOwners).map(([view, [label, title]]) =>
				el("label", { title: view !== "retained" && dominators ? "Each object once: below what alone keeps it (--tree=dominators)." : title },
					el("input", { type: "radio", name: "view", value: view,
						onchange: () => this.setView(view) }), el("span", null, label))));
		this.crumbs = el("nav", { class: "crumbs", "aria-label": "The way to what is shown" });
		this.hidden = el("div", { class: "hidden-frames" });
		this.canvas = el("canvas", { "aria-hidden": "true" });
		this.help = el("p", { id: "keys", class: "note" },
			"Click a frame to zoom. Keys: arrows move, Enter zooms in, Esc goes out, h hides.");
		this.box = el("div", { class: "flame", role: "tree", tabindex: "0", "aria-label": "Flame graph",
			"aria-describedby": "keys" }, this.canvas);
		this.detail = el("div", { class: "detail", "aria-live": "off" });
		this.legend = el("ul", { class: "legend", "aria-label": "Packages" });
		this.root = el("section", { class: "card", id: "graph", "aria-labelledby": "graph-title" },
			el("div", { class: "card-head" }, el("h2", { id: "graph-title" }, "Who keeps it"), this.views),
			el("div", { class: "toolbar" },
				el("div", { class: "search" }, el("label", { for: "search", class: "unseen" }, "Search frames"), this.search, this.found)),
			this.crumbs, this.hidden, this.box, this.legend, this.help, this.detail);
		this.flame = new Flame(this.canvas, {
			pick: (node) => this.zoom(node),
			hover: (node, event) => this.tip(node, event),
		});
		this.outline = new Outline(this.box, this.flame, (node) => this.sentence(node), {
			focus: (node) => this.focus(node, true),
			pick: (node) => this.zoom(node),
			out: () => this.zoom(Math.max(0, this.tree.parent[this.state.at])),
			hide: (node) => this.hide(node),
		});
	}

	// Shows what the state says.
	apply() {
		const { tree } = this;
		this.state.hide = this.state.hide.filter((v) => v < tree.n);
		if (this.state.at >= tree.n)
			this.state.at = 0;
		if (!this.colours.has(tree))
			this.colours.set(tree, colourTree(tree));
		this.layout = layTree(tree, this.state.view, this.state.hide);
		for (const input of this.views.querySelectorAll("input"))
			input.checked = input.value === this.state.view;
		this.search.value = this.state.q;
		this.flame.show(this.layout, this.colours.get(tree), this.state.at);
		this.showFound();
		this.showHidden();
		this.showAt();
	}

	setTheme(dark) {
		this.dark = dark;
		this.flame.setTheme(dark);
		if (this.layout)
			this.showLegend();
	}

	setView(view) {
		const path = this.tree.path(this.state.at);
		const hidden = this.state.hide.map((v) => this.tree.path(v));
		this.state.view = view;
		this.state.at = this.tree.find(path);
		this.state.hide = hidden.map((p) => this.tree.find(p, true)).filter((v) => v > 0);
		this.apply();
		this.changed(true);
	}

	zoom(node) {
		if (node !== 0 && !this.layout.size[node])
			return;
		hideTip();
		if (node === this.state.at)
			return this.focus(node, this.flame.ringed);
		this.state.at = node;
		this.flame.zoom(node);
		this.showAt();
		this.changed(true);
	}

	// From elsewhere in the page: shows the path in the tree that has it.
	go(view, path) {
		this.state.view = view === "retained" && !this.data.hasOwners ? "bytes" : view;
		this.state.hide = [];
		this.state.q = "";
		this.state.at = this.tree.find(path);
		this.apply();
		this.changed(true);
		this.reveal();
	}

	// The same with what is searched for.
	goSearch(text) {
		this.state.at = 0;
		this.state.q = text;
		this.apply();
		this.changed(true);
		this.reveal();
	}

	goType(type) {
		this.goSearch(typeOrClosure(this.tree, type));
	}

	// What goroutines keep that are in the function.
	goGoroutines(name) {
		if (this.data.hasOwners && this.data.owners.find(["[goroutines]", name], true) > 0)
			return this.go("retained", ["[goroutines]", name]);
		return this.goSearch(`^${plainText(name)}(\\.|$)`);
	}

	reveal() {
		const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
		this.root.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
		this.box.focus({ preventScroll: true });
	}

	focus(node, ringed) {
		this.flame.setFocus(node, ringed);
		this.outline.say(node);
		this.showDetail(node);
	}

	hide(node) {
		if (node <= 0)
			return;
		this.state.hide.push(node);
		if (this.tree.isBelow(this.state.at, node))
			this.state.at = this.tree.parent[node];
		this.apply();
		this.changed(true);
	}

	showAt() {
		const { at } = this.state;
		const nodes = [];
		for (let v = at; v > 0; v = this.tree.parent[v])
			nodes.push(v);
		nodes.push(0);
		this.crumbs.replaceChildren(...nodes.reverse().map((v) => {
			const labels = v ? frameLabels(this.tree.name(v)) : [this.tree.top];
			const text = labels.find((t) => t.length <= 48) || labels[labels.length - 1];
			return v === at ? el("span", { class: "crumb", "aria-current": "location", title: this.tree.name(v) }, text) :
				el("button", { class: "crumb", type: "button", title: this.tree.name(v), onclick: () => this.zoom(v) }, text);
		}));
		this.showLegend();
		this.outline.say(at);
		this.showDetail(at);
	}

	value(node) {
		const n = this.layout.size[node];
		return this.layout.measure === "objects" ? manyText(n, "object") : bytesText(n);
	}

	whole() {
		return this.layout.size[0];
	}

	// [word, value] of what is known of the node.
	facts(node) {
		const { tree } = this;
		const all = (n, whole) => `${bytesText(n)}, ${shareText(n, whole)} of ${tree.top.replace("all that", "what")}`;
		const out = [];
		if (this.isOwners)
			out.push(["keeps", all(tree.bytes[node], tree.bytes[0])]);
		else
			out.push(["holds", all(tree.bytes[node], tree.bytes[0])]);
		out.push(["objects", countText(tree.objects[node])]);
		if (tree.instances && tree.instances[node] > 1)
			out.push(["of its own", manyText(tree.instances[node], "object")]);
		if (!this.isOwners && node && tree.retained)
			out.push(["retains", all(tree.retained[node], tree.bytes[0])]);
		const place = this.data.places.get(tree.name(node));
		if (place)
			out.push(["at", place]);
		return out;
	}

	sentence(node) {
		return `${this.tree.name(node)}: ${this.value(node)}, ${shareText(this.layout.size[node], this.whole())}`;
	}

	tip(node, event) {
		if (node < 0 || !event)
			return hideTip();
		const { field, type } = node ? frameParts(this.tree.name(node)) : { field: this.tree.name(0), type: "" };
		const path = this.tree.path(node).map((f) => frameParts(f).field);
		showTip([
			el("div", { class: "tip-name" }, breakable(field)),
			type && el("div", { class: "tip-type" }, breakable(type)),
			el("dl", null, this.facts(node).map(([word, text]) => [el("dt", null, word), el("dd", null, text)])),
			path.length > 1 && el("div", { class: "tip-path" }, breakable(path.join(" › "))),
		].filter(Boolean), event.clientX, event.clientY);
	}

	showDetail(node) {
		const name = this.tree.name(node);
		const path = this.tree.path(node);
		const { type } = frameParts(name);
		const buttons = [];
		if (node && node !== this.state.at)
			buttons.push(["Zoom in", () => this.zoom(node)]);
		if (this.state.at)
			buttons.push(["Zoom out", () => this.zoom(this.tree.parent[this.state.at])], ["Show all", () => this.zoom(0)]);
		if (node)
			buttons.push(["Hide", () => this.hide(node)]);
		if (node && type)
			buttons.push(["Find this type", () => this.goSearch(typeSearch(type))]);
		if (node)
			buttons.push(["Copy path", (e) => copyText(path.join("\n"), e.target)]);
		this.detail.replaceChildren(
			el("div", { class: "detail-head" },
				el("h3", { class: "mono" }, breakable(name)),
				el("div", { class: "buttons" }, buttons.map(([label, onclick]) => el("button", { type: "button", onclick }, label)))),
			el("dl", { class: "facts" }, this.facts(node).map(([word, text]) =>
				el("div", null, el("dt", null, word), el("dd", { class: word === "at" ? "mono" : null }, text)))),
			path.length > 1 ? el("ol", { class: "path", tabindex: "0", "aria-label": "The whole path" }, path.map((frame) => el("li", null, breakable(frame)))) : "");
	}

	searchSoon() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => {
			this.state.q = this.search.value;
			this.showFound();
			this.changed(false);
		}, 120);
	}

	showFound() {
		const { q } = this.state;
		if (!q) {
			this.found.replaceChildren();
			this.search.removeAttribute("aria-invalid");
			this.flame.setSearch(null);
			return;
		}
		const { matches, error } = makeMatcher(q);
		const found = searchTree(this.layout, matches);
		this.flame.setSearch(found);
		this.search.toggleAttribute("aria-invalid", false);
		if (error)
			this.search.setAttribute("aria-invalid", "true");
		const size = this.layout.measure === "objects" ? manyText(found.size, "object") : bytesText(found.size);
		this.found.replaceChildren(found.count ?
			`${manyText(found.count, "frame")}, ${size}, ${shareText(found.size, this.whole())}` : "nothing matches",
			error ? ` (${error})` : "");
	}

	showHidden() {
		this.hidden.replaceChildren(...this.state.hide.map((v) => el("button", {
			type: "button", class: "chip", "aria-label": `Show ${this.tree.name(v)} again`,
			onclick: () => {
				this.state.hide = this.state.hide.filter((w) => w !== v);
				this.apply();
				this.changed(true);
			},
		}, `hidden: ${shortName(frameParts(this.tree.name(v)).field)}`, el("span", { "aria-hidden": "true" }, " ✕"))));
	}

	showLegend() {
		this.legend.replaceChildren(...legendOf(this.tree, this.colours.get(this.tree), this.state.at).map((p) =>
			el("li", null, el("span", { class: "swatch", style: { background: swatchOf(p.colour, this.dark) } }), p.name)));
	}
}

// What finds a type in the frames' texts, behind pointers and interfaces, too.
export function typeSearch(type) {
	const bare = (/ = (.+)$/.exec(type) || [null, type])[1].replace(/^\*+/, "");
	return `[(* ]${plainText(bare)}\\)$`;
}

// The text as a regular expression that matches it alone.
export function plainText(text) {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

// A closure's type is its function, and that is its frame.
function typeOrClosure(tree, type) {
	const closure = /^closure (.+)$/.exec(type);
	const found = closure ? `^${plainText(closure[1])}$` : typeSearch(type);
	const expression = new RegExp(found);
	return tree.frames.some((f) => expression.test(f)) ? found : plainText(type);
}

function copyText(text, button) {
	const was = button.textContent;
	const done = (word) => {
		button.textContent = word;
		setTimeout(() => (button.textContent = was), 1200);
	};
	if (!navigator.clipboard)
		return done("Not allowed here");
	navigator.clipboard.writeText(text).then(() => done("Copied"), () => done("Not allowed here"));
}
