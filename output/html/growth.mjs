// Growth over several captures (docs/GROWTH.md), as small multiples: a small chart for each path, type or
// group of goroutines, all with the same axis of time, in the report's order: what grew in every interval first.

import { breakable, el, svg } from "./dom.mjs";
import { bytesText, countText, shareText, timeText } from "./format.mjs";
import { frameParts, shortName } from "./names.mjs";
import { pathText } from "./tables.mjs";

const WIDTH = 240;
const HEIGHT = 48;
const MOST = 10;

const WAYS = { every: "in every interval", steps: "in steps", appeared: "new" };

// Seconds since the first capture; the captures' numbers where a time is not known.
export function captureTimes(captures) {
	const known = captures.every((c) => c.time > 0);
	return captures.map((c, i) => (known ? (c.time - captures[0].time) / 1e9 : i));
}

// Corners of the line in a chart that begins at 0.
export function chartPoints(values, times, width, height) {
	const top = Math.max(...values, 1);
	const end = times[times.length - 1] || 1;
	return values.map((v, i) => [(times[i] / end) * (width - 6) + 3, height - 3 - (v / top) * (height - 8)]);
}

function chart(values, times) {
	const points = chartPoints(values, times, WIDTH, HEIGHT);
	const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
	return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", "aria-hidden": "true" },
		svg("polygon", { points: `${points[0][0]},${HEIGHT - 3} ${line} ${points[points.length - 1][0]},${HEIGHT - 3}` }),
		svg("polyline", { points: line }),
		points.map(([x, y]) => svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2.2 })));
}

function signed(n) {
	return `${n < 0 ? "-" : "+"}${bytesText(Math.abs(Math.round(n)))}`;
}

// { name, title, under, values, say, row, onclick }
function multiple(m, times) {
	const last = m.values[m.values.length - 1];
	const facts = [
		m.row && m.row.bytes_per_minute && `${signed(m.row.bytes_per_minute)} a minute`,
		m.row && m.row.share > 0 && `${shareText(m.row.share, 1)} of all growth`,
		m.row && WAYS[m.row.grew],
	].filter(Boolean);
	return el("li", { title: m.title || null },
		el("div", { class: "multiple-head" },
			m.onclick ? el("button", { type: "button", class: "link", onclick: m.onclick }, breakable(m.name)) : el("span", { class: "mono" }, breakable(m.name))),
		m.under ? el("div", { class: "note mono" }, breakable(m.under)) : "",
		chart(m.values, times),
		el("div", { class: "num" }, `${m.say(m.values[0])} → ${m.say(last)}`),
		facts.length ? el("div", { class: "note" }, facts.join(", ")) : "");
}

function lastStep(path) {
	const { field, type } = frameParts(path[path.length - 1] || "");
	return type ? `${field} (${type})` : shortName(field);
}

function totals(captures) {
	const out = [];
	const add = (name, key, say) => {
		if (captures.every((c) => c[key] !== undefined))
			out.push({ name, values: captures.map((c) => c[key]), say });
	};
	add("live", "live_bytes", bytesText);
	add("unreachable", "unreachable_bytes", bytesText);
	add("resident", "rss_bytes", bytesText);
	add("goroutines", "goroutines", countText);
	add("leaked goroutines", "leaked_goroutines", countText);
	return out;
}

// [title, multiples] of what the report says.
export function growthParts(g, explorer) {
	return [
		["Paths", (g.paths || []).map((p) => ({ row: p, name: lastStep(p.path), under: p.path.length > 1 ? pathText(p.path.slice(0, -1)) : "",
			title: p.path.join("\n"), values: p.bytes, say: bytesText, onclick: () => explorer.go("bytes", p.path) }))],
		["Goroutines", (g.goroutines || []).map((x) => ({ row: x, name: shortName(x.function), under: x.leaked ? `${countText(x.leaked)} leaked` : "",
			title: x.function, values: x.count, say: countText, onclick: () => explorer.goGoroutines(x.function) }))],
		["Types", (g.types || []).map((t) => ({ row: t, name: t.type, values: t.bytes, say: bytesText, onclick: () => explorer.goType(t.type) }))],
		["Outside Go's heap", (g.outside || []).map((o) => ({ row: o, name: o.what, values: o.bytes, say: bytesText }))],
		["In all", totals(g.captures)],
	].filter(([, rows]) => rows.length);
}

export function growth({ report }, explorer) {
	const g = report.growth;
	if (!g || !g.captures || g.captures.length < 2)
		return "";
	const times = captureTimes(g.captures);
	const parts = growthParts(g, explorer);
	return el("section", { class: "card", id: "growth", "aria-labelledby": "growth-title" },
		el("div", { class: "card-head" }, el("h2", { id: "growth-title" }, "Growth"),
			el("span", { class: "total" }, `${g.captures.length} captures${g.ns ? ` in ${timeText(g.ns)}` : ""}, live ${signed(g.live_bytes || 0)}`)),
		parts.length < 2 ? el("p", null, "Nothing grew.") : "",
		parts.map(([title, rows]) => {
			const list = el("ul", { class: "multiples" }, rows.slice(0, MOST).map((m) => multiple(m, times)));
			const more = rows.length > MOST && el("button", { type: "button", class: "more", onclick: () => {
				list.append(...rows.slice(MOST).map((m) => multiple(m, times)));
				more.remove();
			} }, `Show all ${rows.length}`);
			return [el("h3", null, title), list, more];
		}));
}
