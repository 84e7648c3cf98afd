// The flame graph: an icicle, the root on top, on a canvas. Only frames of a pixel or more are drawn;
// what is smaller is one grey bar beside its larger siblings. So the work of a picture depends on its
// width, not on the tree. What is zoomed to has the whole width, and stands in the first row.

import { fillOf } from "./colours.mjs";
import { frameLabels } from "./names.mjs";

export const ROW = 22;
const MOST_ROWS = 64;
const LEAST_PIXELS = 1;
// While it moves nobody sees the smallest frames.
const LEAST_MOVING = 4;
const PADDING = 5;
const ZOOM_MS = 220;

export class Flame {
	// on: { pick(node), hover(node, event) }
	constructor(canvas, on) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
		this.on = on;
		this.widths = new Map();
		this.labels = new Map();
		this.at = 0;
		this.focus = 0;
		this.hover = -1;
		this.search = null;
		this.ringed = false;
		this.view = { from: 0, to: 1, row: 0 };
		this.frame = 0;
		canvas.addEventListener("mousemove", (e) => this.moved(e));
		canvas.addEventListener("mouseleave", (e) => this.setHover(-1, e));
		canvas.addEventListener("click", (e) => {
			const node = this.hit(e.offsetX, e.offsetY);
			if (node >= 0)
				this.on.pick(node);
		});
		new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
	}

	show(layout, colours, at) {
		this.layout = layout;
		this.colours = colours;
		this.at = at;
		this.focus = at;
		this.hover = -1;
		this.view = this.viewOf(at);
		this.resize();
	}

	setTheme(dark) {
		const style = getComputedStyle(this.canvas);
		this.dark = dark;
		this.font = `12px ${style.getPropertyValue("--mono")}`;
		this.ink = style.getPropertyValue("--ink");
		this.rest = style.getPropertyValue("--rest");
		this.hitFill = style.getPropertyValue("--match");
		this.hitInk = style.getPropertyValue("--match-ink");
		this.ring = style.getPropertyValue("--accent");
		this.widths.clear();
		this.context.font = this.font;
		this.letter = this.context.measureText("m".repeat(100)).width / 100;
		this.draw();
	}

	viewOf(node) {
		const { start, size, tree } = this.layout;
		return { from: start[node], to: start[node] + (size[node] || 1), row: tree.depth[node] };
	}

	// Calls each(node, x, width, row) for what is to be seen, and rest(x, width, row) for what is too
	// small; below `base` alone.
	visit(view, base, width, each, rest, least = LEAST_PIXELS) {
		const { tree, size, start, kids } = this.layout;
		const scale = width / (view.to - view.from);
		const todo = [base];
		while (todo.length) {
			const v = todo.pop();
			const row = tree.depth[v] - view.row;
			const x = Math.max(0, (start[v] - view.from) * scale);
			const end = Math.min(width, (start[v] + size[v] - view.from) * scale);
			if (row > -1)
				each(v, x, end - x, row);
			if (row + 1 >= MOST_ROWS)
				continue;
			let k = tree.first[v];
			const last = tree.first[v + 1];
			// Children are laid from left to right: skip those before the view.
			let high = last;
			while (k < high) {
				const mid = (k + high) >> 1;
				if (start[kids[mid]] + size[kids[mid]] > view.from)
					high = mid;
				else
					k = mid + 1;
			}
			for (; k < last && start[kids[k]] < view.to; k++) {
				if (size[kids[k]] * scale < least) {
					const left = Math.max(0, (start[kids[k]] - view.from) * scale);
					const right = Math.min(width, (start[kids[last - 1]] + size[kids[last - 1]] - view.from) * scale);
					if (right - left >= 0.5 && row + 1 > -1)
						rest(left, right - left, row + 1);
					break;
				}
				todo.push(kids[k]);
			}
		}
	}

	rowsOf(view, base) {
		let rows = 1;
		this.visit(view, base, this.width, (v, x, w, row) => (rows = Math.max(rows, row + 1)),
			(x, w, row) => (rows = Math.max(rows, row + 1)));
		return Math.min(MOST_ROWS, Math.ceil(rows));
	}

	resize() {
		if (!this.layout)
			return;
		this.width = this.canvas.parentElement.clientWidth;
		this.setHeight(this.rowsOf(this.view, this.at));
	}

	setHeight(rows) {
		this.size(rows);
		this.draw();
	}

	size(rows) {
		const ratio = globalThis.devicePixelRatio || 1;
		const height = Math.max(rows, 3) * ROW;
		if (this.canvas.width !== Math.round(this.width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
			this.canvas.width = Math.round(this.width * ratio);
			this.canvas.height = Math.round(height * ratio);
			this.canvas.style.width = `${this.width}px`;
			this.canvas.style.height = `${height}px`;
			this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
		}
		this.height = height;
	}

	// Goes to the node, by a short way that the eye can follow.
	zoom(node, still) {
		const { tree } = this.layout;
		const from = { ...this.view };
		const to = this.viewOf(node);
		// What both views are below.
		let base = this.at;
		for (let v = node; v !== base; )
			if (v > base)
				v = tree.parent[v];
			else
				base = tree.parent[base];
		this.at = node;
		this.focus = node;
		this.setHover(-1);
		cancelAnimationFrame(this.frame);
		const rows = this.rowsOf(to, node);
		if (still || matchMedia("(prefers-reduced-motion: reduce)").matches) {
			this.view = to;
			this.setHeight(rows);
			return;
		}
		if (rows * ROW > this.height)
			this.size(rows);
		const begin = performance.now();
		const step = (now) => {
			const t = Math.min(1, Math.max(0, (now - begin) / ZOOM_MS));
			const e = 1 - (1 - t) ** 3;
			// Widths change by a factor, so that the way in looks like the way out.
			const width = Math.exp(Math.log(from.to - from.from) * (1 - e) + Math.log(to.to - to.from) * e);
			const a = from.to - from.from;
			const b = to.to - to.from;
			const s = Math.abs(a - b) > 1e-9 * a ? (width - a) / (b - a) : e;
			this.view = t < 1 ? { from: from.from + (to.from - from.from) * s, to: from.to + (to.to - from.to) * s,
				row: from.row + (to.row - from.row) * e } : to;
			if (t === 1)
				return this.setHeight(rows);
			this.draw(base, LEAST_MOVING);
			this.frame = requestAnimationFrame(step);
		};
		step(begin);
	}

	draw(base = this.at, least = LEAST_PIXELS) {
		if (!this.layout || !this.font)
			return;
		const c = this.context;
		const found = this.search;
		const boxes = new Map();
		const texts = [];
		let ring = null;
		let lit = null;
		const put = (fill, away, x, y, w) => {
			const key = away ? `${fill} away` : fill;
			let list = boxes.get(key);
			if (!list)
				boxes.set(key, (list = { fill, away, at: [] }));
			list.at.push(x, y, w);
		};
		this.visit(this.view, base, this.width, (v, x, w, row) => {
			const y = row * ROW;
			if (v === this.focus)
				ring = [x, y, w];
			if (v === this.hover)
				lit = [x, y, w];
			const hit = found && found.nodes[v];
			const away = found && !found.inside[v];
			put(hit ? this.hitFill : this.fill(v), away, x, y, w > 2 ? w - 1 : w);
			if (w > 24)
				texts.push([v, x, y, w, hit ? this.hitInk : this.ink, away]);
		}, (x, w, row) => put(this.rest, false, x, row * ROW, w), least);
		c.clearRect(0, 0, this.width, this.height);
		for (const { fill, away, at } of boxes.values()) {
			c.fillStyle = fill;
			c.globalAlpha = away ? 0.4 : 1;
			for (let i = 0; i < at.length; i += 3)
				c.fillRect(at[i], at[i + 1], at[i + 2], ROW - 1);
		}
		c.font = this.font;
		c.textBaseline = "middle";
		for (const [v, x, y, w, ink, away] of texts) {
			c.globalAlpha = away ? 0.8 : 1;
			c.fillStyle = ink;
			this.write(v, x, y, w);
		}
		c.globalAlpha = 1;
		if (lit)
			this.outline(lit, this.ink, 1);
		if (ring && this.ringed)
			this.outline(ring, this.ring, 2.5);
	}

	outline([x, y, w], colour, thick) {
		const c = this.context;
		c.strokeStyle = colour;
		c.lineWidth = thick;
		c.strokeRect(x + thick / 2, y + thick / 2, Math.max(1, w - 1 - thick), ROW - 1 - thick);
	}

	fill(v) {
		const { tree } = this.layout;
		const colour = this.colours.of[v];
		const shade = tree.frame[v] < 0 ? 1 : tree.frame[v] % 3;
		return this.fills(colour * 3 + shade);
	}

	fills(i) {
		if (this.made !== this.dark) {
			this.made = this.dark;
			this.cache = [];
		}
		return (this.cache[i] ||= fillOf(Math.floor(i / 3), i % 3, this.dark));
	}

	// The longest of the frame's labels that fits; none, rather than half a field.
	write(v, x, y, w) {
		const text = v ? this.labelFor(this.layout.tree.frame[v], w - 2 * PADDING) : this.layout.tree.name(0);
		if (text)
			this.context.fillText(text, x + PADDING, y + ROW / 2);
	}

	labelFor(frame, room) {
		let labels = this.labels.get(frame);
		if (!labels)
			this.labels.set(frame, (labels = frameLabels(this.layout.tree.frames[frame])));
		return labels.find((text) => this.widthOf(text) <= room);
	}

	// The font's letters are equally wide; what is no ASCII is measured.
	widthOf(text) {
		if (!/[^\x20-\x7e]/.test(text))
			return text.length * this.letter;
		let w = this.widths.get(text);
		if (w === undefined)
			this.widths.set(text, (w = this.context.measureText(text).width));
		return w;
	}

	hit(x, y) {
		let found = -1;
		const row = Math.floor(y / ROW);
		this.visit(this.view, this.at, this.width, (v, left, w, r) => {
			if (r === row && x >= left && x < left + w)
				found = v;
		}, () => {});
		return found;
	}

	// Where the node is in the canvas; null: not in sight.
	place(node) {
		let out = null;
		this.visit(this.view, this.at, this.width, (v, x, w, row) => {
			if (v === node)
				out = { x, y: row * ROW, width: w };
		}, () => {});
		return out;
	}

	moved(event) {
		this.setHover(this.hit(event.offsetX, event.offsetY), event);
	}

	setHover(node, event) {
		if (node !== this.hover) {
			this.hover = node;
			this.canvas.style.cursor = node >= 0 ? "pointer" : "";
			this.draw();
		}
		this.on.hover(node, event);
	}

	setFocus(node, ringed) {
		this.focus = node;
		this.ringed = ringed;
		this.draw();
	}

	setSearch(found) {
		this.search = found;
		this.draw();
	}
}
