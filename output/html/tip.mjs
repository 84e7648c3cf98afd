// One tooltip for the page: beside the pointer, or below the element that has the focus.

import { el } from "./dom.mjs";

let box = null;

export function showTip(kids, x, y) {
	if (!box) {
		box = el("div", { class: "tip", "aria-hidden": "true" });
		document.body.append(box);
	}
	box.replaceChildren(...kids.flat());
	box.hidden = false;
	const { width, height } = box.getBoundingClientRect();
	const right = document.documentElement.clientWidth - width - 8;
	const below = y + 18 + height < innerHeight ? y + 18 : y - height - 12;
	box.style.left = `${Math.max(8, Math.min(x + 12, right))}px`;
	box.style.top = `${Math.max(8, below)}px`;
}

export function hideTip() {
	if (box)
		box.hidden = true;
}

// Shows it for an element, at the pointer and at the focus.
export function tipFor(node, kids) {
	node.addEventListener("mousemove", (e) => showTip(kids(), e.clientX, e.clientY));
	node.addEventListener("mouseleave", hideTip);
	node.addEventListener("blur", hideTip);
	node.addEventListener("focus", () => {
		const r = node.getBoundingClientRect();
		showTip(kids(), r.left, r.bottom - 12);
	});
	return node;
}
