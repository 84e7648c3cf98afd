// The page's parts that need no browser: node --test output/html/test/

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { colourTree, legendOf } from "../colours.mjs";
import { readData, unpack } from "../data.mjs";
import { makeMatcher, plainText, typeSearch } from "../explorer.mjs";
import { Flame } from "../flame.mjs";
import { bytesText, countText, shareText, timeText } from "../format.mjs";
import { captureTimes, chartPoints, growthParts } from "../growth.mjs";
import { memoryParts } from "../memory.mjs";
import { frameLabels, framePackage, frameParts, shortName } from "../names.mjs";
import { readState, writeState } from "../state.mjs";
import { sortRows } from "../table.mjs";
import { pathText, rootPath } from "../tables.mjs";
import { layTree, searchTree, Tree } from "../tree.mjs";

// main.cache (10) -> val (20) -> data (70); main.log (5) -> [] (45); timers -> main.tick (8)
const FRAMES = ["main.cache", "$mapval. (*main.Item)", "data. ([]uint8)", "main.log", "[]. (main.Line)", "timers", "main.tick"];
const COLUMNS = {
	up: [1, 1, 1, 4, 1, 6, 1],
	frame: [0, 1, 2, 3, 4, 5, 6],
	bytes: [10, 20, 70, 5, 45, 0, 8],
	objects: [1, 5, 5, 1, 900, 0, 1],
	retained: [100, 90, 70, 50, 45, 8, 8],
};
const tree = () => new Tree(COLUMNS, FRAMES);

test("a tree adds up, and is walked by paths", () => {
	const t = tree();
	assert.equal(t.bytes[0], 158);
	assert.equal(t.objects[0], 913);
	assert.equal(t.bytes[1], 100);
	assert.deepEqual(t.path(3), FRAMES.slice(0, 3));
	assert.equal(t.find(FRAMES.slice(0, 3)), 3);
	assert.equal(t.find(["main.cache", "no such"]), 1);
	assert.equal(t.find(["main.cache", "no such"], true), -1);
	assert.equal(t.depth[3], 3);
	assert.ok(t.isBelow(3, 1) && t.isBelow(3, 3) && t.isBelow(3, 0) && !t.isBelow(3, 4) && !t.isBelow(5, 1));
});

test("a layout has the largest first, side by side, and nothing of what is hidden", () => {
	const t = tree();
	const bytes = layTree(t, "bytes", []);
	assert.deepEqual([...bytes.kids.subarray(t.first[0], t.first[1])], [1, 4, 6]);
	assert.deepEqual([bytes.start[1], bytes.start[4], bytes.start[6], bytes.start[3]], [0, 100, 150, 0]);
	const objects = layTree(t, "objects", []);
	assert.deepEqual([...objects.kids.subarray(t.first[0], t.first[1])], [4, 1, 6]);
	const less = layTree(t, "bytes", [2]);
	assert.equal(less.size[1], 10);
	assert.equal(less.size[3], 0);
	assert.equal(less.size[0], 68);
});

test("a search counts what is at matching frames or below, once", () => {
	const layout = layTree(tree(), "bytes", []);
	const found = searchTree(layout, (text) => /Item|uint8/.test(text));
	assert.equal(found.count, 2);
	assert.equal(found.size, 90);
	assert.equal(searchTree(layTree(tree(), "bytes", [2]), (text) => /Item|uint8/.test(text)).size, 0);
	assert.ok(makeMatcher("item").matches("*main.Item"));
	assert.ok(!makeMatcher("itEM").matches("*main.Item"));
	const bad = makeMatcher("[]. (main");
	assert.ok(bad.error && bad.matches("[]. (main.Line)"));
	assert.match("next. (any = *main.Item)", new RegExp(typeSearch("any = *main.Item")));
	assert.doesNotMatch("next. (*domain.Item)", new RegExp(typeSearch("main.Item")));
	assert.match("a.b(*c)[d]$", new RegExp(`^${plainText("a.b(*c)[d]$")}$`));
});

// A canvas that remembers what it was told.
function flameOf(layout, width) {
	globalThis.ResizeObserver = class {
		observe() {}
	};
	const canvas = { getContext: () => ({ measureText: (s) => ({ width: s.length * 7 }) }), addEventListener() {}, parentElement: {} };
	const flame = new Flame(canvas, {});
	Object.assign(flame, { layout, width, letter: 7 });
	return flame;
}

test("only what is wide enough is drawn, in its row, and what is not is one bar", () => {
	const up = [];
	const n = 50000;
	for (let i = 0; i < n; i++)
		up.push(i + 1);
	const bytes = up.map((_, i) => (i < 10 ? 1e6 : 1));
	const layout = layTree(new Tree({ up, frame: up.map(() => 0), bytes, objects: bytes }, ["x"]), "bytes", []);
	const flame = flameOf(layout, 1000);
	const drawn = [];
	const rest = [];
	flame.visit(flame.viewOf(0), 0, 1000, (v, x, w, row) => drawn.push([v, Math.round(x), Math.round(w), row]), (...r) => rest.push(r));
	assert.equal(drawn.length, 11);
	assert.deepEqual(drawn[0], [0, 0, 1000, 0]);
	assert.equal(rest.length, 1);
	assert.ok(rest[0][1] > 4 && rest[0][1] < 6, rest[0]);
	// Zoomed to one of the small: it alone, in the whole width.
	drawn.length = 0;
	flame.visit(flame.viewOf(n), n, 1000, (v, x, w, row) => drawn.push([v, x, w, row]), (...r) => rest.push(r));
	assert.deepEqual(drawn, [[n, 0, 1000, 0]]);
});

test("a view between siblings begins where it is seen", () => {
	const flame = flameOf(layTree(tree(), "bytes", []), 500);
	const seen = new Set();
	flame.visit({ from: 100, to: 150, row: 1 }, 0, 500, (v) => seen.add(v), () => {});
	assert.deepEqual([...seen].sort(), [4, 5]);
});

test("a label loses the package, then the type, and never a part of the field", () => {
	const flame = flameOf(layTree(tree(), "bytes", []), 500);
	const label = (frame, letters) => {
		flame.labels.clear();
		flame.layout.tree.frames = [frame];
		return flame.labelFor(0, letters * 7);
	};
	const frame = "history. (map[string]*github.com/acme/shop/cart.Page)";
	assert.equal(label(frame, 80), frame);
	assert.equal(label(frame, 30), "history (map[string]*Page)");
	assert.equal(label(frame, 10), "history");
	assert.equal(label(frame, 6), undefined);
	const name = "github.com/acme/shop/v2.(*Server).serve.conn";
	assert.equal(label(name, 60), name);
	assert.equal(label(name, 30), "shop.(*Server).serve.conn");
	assert.equal(label(name, 21), "(*Server).serve.conn");
	assert.equal(label("$mapval. (*main.Session)", 10), "*Session");
	for (const text of frameLabels(frame))
		assert.ok(text.startsWith("history"), text);
});

test("frames are of packages", () => {
	for (const [frame, want] of [
		["main.sessions", "main"],
		["github.com/a/b/v2.cache", "b"],
		["net/http.(*conn).serve.c", "http"],
		["gopkg.in/yaml%2ev3.parsers", "yaml"],
		["Cart. (map[string]*main.Item)", "main"],
		["h. (http.Handler = *main.API)", "main"],
		["x. (any = []uint8)", ""],
		["Body. ([]uint8)", ""],
		["m. (*lru.entry[string,github.com/x/y.T])", "lru"],
		["[goroutines]", ""],
		["timers", ""],
		[".bss+0x508 (cache.Get)", "cache"],
		["$sub_objects$ (*main.Session)", "main"],
	])
		assert.equal(framePackage(frame), want, frame);
	assert.deepEqual(frameParts("val. (any = *main.T)"), { field: "val", type: "any = *main.T" });
	assert.equal(shortName("github.com/a/b/v2.(*T).f"), "b.(*T).f");
	assert.equal(pathText(["github.com/a/b.cache", "$mapval. (*b.T)"]), "b.cache › $mapval");
	const colours = colourTree(tree());
	assert.equal(colours.of[3], colours.of[1]);
	assert.deepEqual(legendOf(tree(), colours, 0), [{ name: "main", colour: 0 }]);
	assert.deepEqual(legendOf(tree(), colours, 7), [{ name: "main", colour: 0 }]);
	// What a hostile program calls its own.
	for (const frame of ["", ".", "/", "..", "%", "%zz/%2e.x", "<img src=x onerror=alert(1)>. (x)", " (", "a. ()", "x".repeat(200)])
		frameLabels(frame), framePackage(frame), shortName(frame);
});

test("roots are found by their names", () => {
	assert.deepEqual(rootPath(tree(), "main.log"), ["main.log"]);
	assert.deepEqual(rootPath(tree(), "timers;main.tick"), ["timers", "main.tick"]);
	assert.deepEqual(rootPath(tree(), "none;such"), []);
});

test("sizes and times are the terminal's", () => {
	assert.deepEqual([0, 1023, 1024, 68230368, 1024 ** 2 - 1, 2 ** 40].map(bytesText),
		["0 bytes", "1023 bytes", "1.0 KiB", "65.1 MiB", "1.0 MiB", "1.0 TiB"]);
	assert.equal(countText(1204331), "1,204,331");
	assert.deepEqual([412e3, 5.25e6, 412e6, 38.2e9].map(timeText), ["412 us", "5.3 ms", "412 ms", "38.2 s"]);
	assert.deepEqual([shareText(1, 1e6), shareText(1, 40), shareText(2, 3), shareText(0, 0)], ["< 0.1 %", "2.5 %", "67 %", "0 %"]);
});

test("an address says all of what is shown, and nonsense says nothing", () => {
	const state = { view: "retained", at: 12, q: "a&b=c#d", hide: [3, 44], tab: "types", sort: { table: "types", column: "bytes", up: true },
		only: "ma in", theme: "dark" };
	assert.deepEqual(readState(writeState(state)), state);
	const plain = readState("");
	assert.equal(writeState(plain), "");
	assert.deepEqual(readState("#view=x&at=-1&hide=a.0&tab=<b>&sort=1&theme=red"), plain);
});

test("rows are sorted by numbers and by words, in both directions", () => {
	const rows = [{ n: 10, s: "b10" }, { n: 9, s: "b9" }, { n: 10, s: "a" }];
	const column = (key) => ({ value: (row) => row[key] });
	assert.deepEqual(sortRows(rows, column("n"), false).map((r) => r.s), ["b10", "a", "b9"]);
	assert.deepEqual(sortRows(rows, column("s"), true).map((r) => r.s), ["a", "b9", "b10"]);
});

test("the memory bar adds up", () => {
	const memory = { live: { "package variables": 100, goroutines: 50, timers: 0 }, garbage_bytes: 5, unswept_bytes: 2, waiting_for_finalizers_bytes: 1,
		free_slots_bytes: 10, span_ends_bytes: 2, stack_inuse_bytes: 30, heap_idle_bytes: 9, heap_released_bytes: 4, gc_bytes: 1, mspan_bytes: 1,
		mcache_bytes: 1, buckhash_bytes: 1, other_bytes: 1, thread_stacks_bytes: 0, sys_bytes: 214 };
	const sum = (parts) => parts.reduce((n, p) => n + p.bytes, 0);
	assert.equal(sum(memoryParts({ memory })), memory.sys_bytes - memory.heap_released_bytes);
	const outside = { c_heap_bytes: 7, anonymous_bytes: 0, files_bytes: 3, stacks_bytes: 1, other_bytes: 1 };
	assert.equal(sum(memoryParts({ memory, outside })), 210 + 12);
	assert.deepEqual(memoryParts({}), []);
});

test("growth has a chart for each row, what grew in every interval first", () => {
	const g = JSON.parse(readFileSync(new URL("growth.json", import.meta.url)));
	const times = captureTimes(g.captures);
	assert.equal(times[0], 0);
	assert.ok(times.every((t, i) => !i || t > times[i - 1]));
	const parts = new Map(growthParts(g, {}));
	assert.equal(parts.get("Paths").length, g.paths.length);
	assert.equal(parts.get("Paths")[0].row.grew, "every");
	assert.equal(parts.get("Paths")[0].values.length, g.captures.length);
	const points = chartPoints([0, 5, 10], [0, 1, 4], 106, 58);
	assert.deepEqual(points.map(([x, y]) => [Math.round(x), Math.round(y)]), [[3, 55], [28, 30], [103, 5]]);
	assert.deepEqual(captureTimes([{ time: 0 }, { time: 5e9 }]), [0, 1]);
});

test("the data is read as it is packed", async () => {
	const raw = { report: { coverage: { live_bytes: 158 } }, words: {}, version: "1", paths: COLUMNS, frames: FRAMES, places: [[6, "main.go", 7]] };
	const data = readData(await unpack(deflateSync(JSON.stringify(raw)).toString("base64").replace(/.{10}/g, "$&\n")));
	assert.equal(data.paths.bytes[0], 158);
	assert.equal(data.owners, null);
	assert.equal(data.paths.name(0), "all that is live");
	raw.report.coverage.live_bytes = 100;
	assert.equal(readData(raw).paths.name(0), "all memory");
	assert.equal(data.places.get("main.tick"), "main.go:7");
});

test("modules make one script: names are unique, imports are one line, nothing makes markup of text", () => {
	const here = new URL("../", import.meta.url);
	const names = new Map();
	for (const file of ["colours", "data", "dom", "explorer", "flame", "format", "growth", "main", "memory", "names", "outline", "state", "table",
		"tables", "tip", "top", "tree"]) {
		const text = readFileSync(new URL(`${file}.mjs`, here), "utf8");
		for (const [, name] of text.matchAll(/^(?:export )?(?:async )?(?:function|class|const|let) (\w+)/gm)) {
			assert.ok(!names.has(name), `${name} is in ${file} and in ${names.get(name)}`);
			names.set(name, file);
		}
		for (const line of text.split("\n").filter((l) => l.startsWith("import")))
			assert.match(line, /^import \{ .* \} from "\.\/\w+\.mjs";$/, `${file}: ${line}`);
		assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|XMLHttp|WebSocket|import\(/, file);
	}
});
