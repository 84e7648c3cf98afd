// The flame graph for the keyboard and for screen readers: a tree of which one item, that of the
// focused frame, is in the document at a time. Arrows go where the eye expects: down to the largest
// child, up to the parent, left and right among siblings.

import { el } from "./dom.mjs";

export class Outline {
	// box: has the focus and role tree; flame: the picture; words(node): what is said of a node
	// on: { focus(node), pick(node), out(), hide(node) }
	constructor(box, flame, words, on) {
		this.box = box;
		this.flame = flame;
		this.words = words;
		this.on = on;
		this.turn = 0;
		this.item = el("div", { class: "unseen" });
		box.append(this.item);
		box.addEventListener("keydown", (e) => this.key(e));
		box.addEventListener("focus", () => this.flame.setFocus(this.flame.focus, box.matches(":focus-visible")));
		box.addEventListener("blur", () => this.flame.setFocus(this.flame.focus, false));
	}

	// Children that have any size, the largest first.
	kids(node) {
		const { tree, kids, size } = this.flame.layout;
		return kids.subarray(tree.first[node], tree.first[node + 1]).filter((v) => size[v] > 0);
	}

	// Says the node: a new element, since readers say what changes.
	say(node) {
		const { tree } = this.flame.layout;
		const siblings = node ? this.kids(tree.parent[node]) : [0];
		const id = `frame-${this.turn++ % 2}`;
		const item = el("div", {
			id, role: "treeitem", class: "unseen", "aria-level": tree.depth[node] + 1,
			"aria-setsize": siblings.length, "aria-posinset": siblings.indexOf(node) + 1,
			"aria-expanded": this.kids(node).length ? "true" : null, "aria-selected": "true",
		}, this.words(node));
		this.item.replaceWith(item);
		this.item = item;
		this.box.setAttribute("aria-activedescendant", id);
	}

	key(event) {
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		const { focus, at } = this.flame;
		const { tree } = this.flame.layout;
		const siblings = focus !== at ? [...this.kids(tree.parent[focus])] : [focus];
		const here = siblings.indexOf(focus);
		const go = {
			ArrowDown: () => this.kids(focus)[0],
			ArrowUp: () => (focus !== at ? tree.parent[focus] : undefined),
			ArrowRight: () => siblings[here + 1],
			ArrowLeft: () => siblings[here - 1],
			Home: () => at,
		}[event.key];
		const act = {
			Enter: () => this.on.pick(focus),
			" ": () => this.on.pick(focus),
			Escape: () => this.on.out(),
			Backspace: () => this.on.out(),
			h: () => this.on.hide(focus),
		}[event.key];
		if (!go && !act)
			return;
		event.preventDefault();
		if (act)
			return act();
		const node = go();
		if (node !== undefined)
			this.on.focus(node);
	}
}
