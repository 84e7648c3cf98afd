// Growth over several captures, as small multiples: a small chart for each path, type or group of
// goroutines, all with the same axis of time, those that grow fastest first.

import { breakable, el, svg } from "./dom.mjs";
import { bytesText, countText } from "./format.mjs";
import { frameParts } from "./names.mjs";
import { pathText } from "./tables.mjs";

const WIDTH = 200;
const HEIGHT = 44;
const MOST = 24;

// Times of the captures in seconds since the first; by their numbers where they have no times.
export function captureTimes(captures) {
	const times = captures.map((c, i) => (typeof c === "number" ? c : (c && c.time) || i * 1e9) / 1e9);
	return times.map((t) => t - times[0]);
}

// { delta, perMinute, always: it grew in every interval }
export function growthOf(values, times) {
	const delta = values[values.length - 1] - values[0];
	const minutes = (times[times.length - 1] - times[0]) / 60;
	return { delta, perMinute: minutes > 0 ? delta / minutes : 0, always: values.every((v, i) => i === 0 || v > values[i - 1]) };
}

function chart(values, times) {
	const top = Math.max(...values, 1);
	const end = times[times.length - 1] || 1;
	const points = values.map((v, i) => [(times[i] / end) * WIDTH, HEIGHT - 2 - (v / top) * (HEIGHT - 6)]);
	const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
	return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", preserveAspectRatio: "none", "aria-hidden": "true" },
		svg("polygon", { points: `0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}` }), svg("polyline", { points: line }));
}

function multiple(name, under, values, times, say, onclick) {
	const g = growthOf(values, times);
	const rate = g.perMinute ? `, ${g.delta < 0 ? "-" : "+"}${say(Math.round(Math.abs(g.perMinute)))} a minute` : "";
	return el("li", null,
		onclick ? el("button", { type: "button", class: "link", onclick }, breakable(name)) : el("span", { class: "mono" }, breakable(name)),
		under && el("div", { class: "note mono" }, breakable(under)),
		chart(values, times),
		el("div", { class: "num" }, `${say(values[0])} → ${say(values[values.length - 1])}${rate}`, g.always ? "" : " (not in every interval)"));
}

function sorted(rows, values, times) {
	const rank = (row) => growthOf(values(row), times);
	return rows.filter((row) => values(row).length > 1).sort((a, b) => rank(b).always - rank(a).always || rank(b).delta - rank(a).delta).slice(0, MOST);
}

export function growth({ report }, explorer) {
	const g = report.growth;
	if (!g || !g.captures || g.captures.length < 2)
		return "";
	const times = captureTimes(g.captures);
	const parts = [
		["Paths", g.paths || [], (p) => p.bytes, (p) => multiple(shortPath(p.path), pathText(p.path.slice(0, -1)), p.bytes, times, bytesText,
			() => explorer.go("bytes", p.path))],
		["Types", g.types || [], (t) => t.bytes || [], (t) => multiple(t.type, "", t.bytes, times, bytesText, null)],
		["Goroutines", g.goroutines || [], (x) => x.count || [], (x) => multiple(x.function, "", x.count, times, countText, null)],
	];
	return el("section", { class: "card", "aria-labelledby": "growth-title" },
		el("h2", { id: "growth-title" }, `Growth over ${g.captures.length} captures`),
		parts.filter(([, rows]) => rows.length).map(([title, rows, values, one]) =>
			[el("h3", null, title), el("ul", { class: "multiples" }, sorted(rows, values, times).map(one))]).flat());
}

function shortPath(path) {
	const { field, type } = frameParts(path[path.length - 1] || "");
	return type ? `${field} (${type})` : field;
}
