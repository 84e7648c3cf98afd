// What the page shows is in its address, behind the #, so that a link shows the same:
//
//	view=objects&at=12&q=Session&hide=3.44&tab=types&sort=types.bytes.up&only=main&theme=dark
//
// Nodes are numbers: the same file has the same ones.

const VIEWS = ["bytes", "objects", "retained"];

function nodeNumber(text) {
	return /^\d{1,9}$/.test(text || "") ? Number(text) : 0;
}

export function readState(fragment) {
	const p = new URLSearchParams(fragment.replace(/^#/, ""));
	const sort = /^(\w+)\.(\w+)\.(up|down)$/.exec(p.get("sort") || "");
	return {
		view: VIEWS.includes(p.get("view")) ? p.get("view") : "bytes",
		at: nodeNumber(p.get("at")),
		q: p.get("q") || "",
		hide: (p.get("hide") || "").split(".").map(nodeNumber).filter((n) => n > 0),
		tab: /^\w+$/.test(p.get("tab") || "") ? p.get("tab") : "",
		sort: sort ? { table: sort[1], column: sort[2], up: sort[3] === "up" } : null,
		only: p.get("only") || "",
		theme: ["light", "dark"].includes(p.get("theme")) ? p.get("theme") : "",
	};
}

export function writeState(s) {
	const p = new URLSearchParams();
	if (s.view !== "bytes")
		p.set("view", s.view);
	if (s.at)
		p.set("at", s.at);
	if (s.q)
		p.set("q", s.q);
	if (s.hide.length)
		p.set("hide", s.hide.join("."));
	if (s.tab)
		p.set("tab", s.tab);
	if (s.sort)
		p.set("sort", `${s.sort.table}.${s.sort.column}.${s.sort.up ? "up" : "down"}`);
	if (s.only)
		p.set("only", s.only);
	if (s.theme)
		p.set("theme", s.theme);
	const text = p.toString();
	return text ? `#${text}` : "";
}
