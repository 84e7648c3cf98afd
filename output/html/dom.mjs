// Elements without markup: whatever comes from the target becomes text, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attrs, kids) {
	for (const [key, value] of Object.entries(attrs || {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (key.startsWith("on"))
			node.addEventListener(key.slice(2), value);
		else if (key === "style")
			for (const [name, v] of Object.entries(value))
				node.style.setProperty(name, v);
		else
			node.setAttribute(key, value === true ? "" : String(value));
	}
	for (const kid of kids.flat(Infinity))
		if (kid !== undefined && kid !== null && kid !== false)
			node.append(kid);
	return node;
}

// el("td", { class: "num", onclick: f, style: { width: "3%" } }, "text", otherElement)
export function el(tag, attrs, ...kids) {
	return fill(document.createElement(tag), attrs, kids);
}

export function svg(tag, attrs, ...kids) {
	return fill(document.createElementNS(SVG, tag), attrs, kids);
}

// "a.b.c" with a place to break a line after each dot, slash and bracket.
export function breakable(text) {
	const out = [];
	for (const part of text.split(/(?<=[./;,\]])(?=[^\s])/))
		out.push(part, el("wbr"));
	out.pop();
	return out;
}
