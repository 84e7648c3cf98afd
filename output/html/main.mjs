// Puts the page together, and keeps it and its address in step.

import { readData, unpack } from "./data.mjs";
import { el } from "./dom.mjs";
import { Explorer } from "./explorer.mjs";
import { growth } from "./growth.mjs";
import { readState, writeState } from "./state.mjs";
import { Tables } from "./tables.mjs";
import { header, memoryBar, verdict } from "./top.mjs";

const darkly = matchMedia("(prefers-color-scheme: dark)");

class Page {
	constructor(data) {
		this.state = readState(location.hash);
		const changed = (push) => this.changed(push);
		this.explorer = new Explorer(data, this.state, changed);
		this.tables = new Tables(data, this.explorer, this.state, changed);
		this.theme = el("button", { type: "button", class: "theme", onclick: () => this.turnTheme() });
		const page = document.getElementById("page");
		page.prepend(header(data, this.theme), el("div", { class: "first" }, verdict(data, this.explorer, this.tables), memoryBar(data)),
			growth(data, this.explorer), this.explorer.root, this.tables.root);
		page.append(el("footer", null, `grf-rsp ${data.version}. This file asks nothing of any network.`));
		document.getElementById("terminal").open = false;
		darkly.addEventListener("change", () => this.showTheme());
		addEventListener("popstate", () => this.moved());
		addEventListener("beforeprint", () => {
			this.tables.makeAll();
			this.setTheme(false);
		});
		addEventListener("afterprint", () => this.showTheme());
		this.showTheme();
		this.apply();
	}

	apply() {
		this.explorer.apply();
		this.tables.apply();
	}

	changed(push) {
		const url = `${location.pathname}${location.search}${writeState(this.state)}`;
		if (url === `${location.pathname}${location.search}${location.hash}`)
			return;
		try {
			if (push)
				history.pushState(null, "", url);
			else
				history.replaceState(null, "", url);
		} catch {
			// A frame without an address of its own.
		}
	}

	// Back, or a link into the page.
	moved() {
		Object.assign(this.state, readState(location.hash));
		this.showTheme();
		this.apply();
	}

	turnTheme() {
		this.state.theme = this.isDark() ? "light" : "dark";
		this.showTheme();
		this.changed(false);
	}

	isDark() {
		return this.state.theme ? this.state.theme === "dark" : darkly.matches;
	}

	showTheme() {
		this.setTheme(this.isDark());
	}

	setTheme(dark) {
		document.documentElement.dataset.theme = dark ? "dark" : "light";
		this.theme.textContent = dark ? "Light" : "Dark";
		this.explorer.setTheme(dark);
	}
}

function failed(error) {
	const old = typeof DecompressionStream === "undefined";
	document.getElementById("page").prepend(el("p", { class: "card", role: "alert" },
		old ? "This browser is too old for this page (it has no DecompressionStream): here is its text." : `The page cannot be shown: ${error.message}`));
}

try {
	const element = document.getElementById("data");
	const data = readData(await unpack(element.textContent));
	element.remove();
	new Page(data);
	performance.mark("shown");
} catch (error) {
	failed(error);
}
