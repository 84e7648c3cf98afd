// A table that can be sorted by each column and filtered by a word; its first rows, and all on demand.

import { el } from "./dom.mjs";

const FIRST_ROWS = 50;
const collator = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
	return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

// Rows by the column's values; equal ones keep their order.
export function sortRows(rows, column, up) {
	const sorted = rows.map((row, i) => ({ row, value: column.value(row), i }));
	sorted.sort((a, b) => (up ? compare(a.value, b.value) : compare(b.value, a.value)) || a.i - b.i);
	return sorted.map((s) => s.row);
}

export class Table {
	// columns: [{ key, label, value(row), cell(row)?, num?, title? }]; text(row): what a filter looks in
	constructor({ id, caption, columns, rows, text, sort, onsort }) {
		Object.assign(this, { id, columns, rows, text, onsort, sort, only: "", all: false });
		this.body = el("tbody");
		this.heads = columns.map((c) => el("th", { scope: "col", class: c.num ? "num" : null, title: c.title || null },
			el("button", { type: "button", onclick: () => this.turn(c) }, c.label, el("span", { class: "arrow", "aria-hidden": "true" }))));
		this.more = el("button", { type: "button", class: "more", onclick: () => this.showAll() });
		this.table = el("table", null, el("caption", { class: "unseen" }, caption), el("thead", null, el("tr", null, this.heads)), this.body);
		this.root = el("div", { class: "table" }, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, this.table), this.more);
	}

	turn(column) {
		const same = this.sort.column === column.key;
		this.sort = { column: column.key, up: same ? !this.sort.up : !column.num };
		this.draw();
		this.onsort(this.sort);
	}

	// sort: null: as it is; matches: null: all rows
	show(sort, matches) {
		if (sort && this.columns.some((c) => c.key === sort.column))
			this.sort = sort;
		this.matches = matches;
		this.draw();
	}

	showAll() {
		this.all = true;
		this.draw();
	}

	draw() {
		const column = this.columns.find((c) => c.key === this.sort.column) || this.columns[0];
		let rows = sortRows(this.rows, column, this.sort.up);
		if (this.matches)
			rows = rows.filter((row) => this.matches(this.text(row)));
		this.columns.forEach((c, i) => {
			const on = c === column;
			this.heads[i].setAttribute("aria-sort", on ? (this.sort.up ? "ascending" : "descending") : "none");
			this.heads[i].querySelector(".arrow").textContent = on ? (this.sort.up ? " ▲" : " ▼") : "";
		});
		const shown = this.all ? rows : rows.slice(0, FIRST_ROWS);
		this.body.replaceChildren(...shown.map((row) => el("tr", null, this.columns.map((c) =>
			el("td", { class: c.num ? "num" : null }, c.cell ? c.cell(row) : String(c.value(row)))))));
		if (!rows.length)
			this.body.append(el("tr", null, el("td", { class: "none", colspan: this.columns.length }, this.rows.length ? "nothing matches" : "none")));
		this.more.hidden = shown.length === rows.length;
		this.more.textContent = `Show all ${rows.length}`;
		this.count = rows.length;
	}
}
