// Sizes, counts, times and shares, in the words of output/text.c.

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export function bytesText(n) {
	if (Math.abs(n) < 1024)
		return `${n} bytes`;
	let v = n / 1024;
	let u = 0;
	while (Math.abs(v) >= 1023.95 && u + 1 < UNITS.length) {
		v /= 1024;
		u++;
	}
	return `${v.toFixed(1)} ${UNITS[u]}`;
}

export function countText(n) {
	return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

export function manyText(n, one, many) {
	return `${countText(n)} ${n === 1 ? one : many || one + "s"}`;
}

export function timeText(ns) {
	if (ns < 1e6)
		return `${Math.floor(ns / 1000)} us`;
	if (ns < 1e7)
		return `${(ns / 1e6).toFixed(1)} ms`;
	if (ns < 1e9)
		return `${Math.floor(ns / 1e6)} ms`;
	if (ns < 120e9)
		return `${(ns / 1e9).toFixed(1)} s`;
	if (ns < 7200e9)
		return `${Math.round(ns / 60e9)} min`;
	return `${(ns / 3600e9).toFixed(1)} h`;
}

export function shareText(part, whole) {
	if (!whole || !part)
		return "0 %";
	const p = (100 * part) / whole;
	return p < 0.1 ? "< 0.1 %" : `${p < 10 ? p.toFixed(1) : Math.round(p)} %`;
}

export function whenText(ns) {
	const s = new Date(ns / 1e6).toISOString();
	return `${s.slice(0, 10)} ${s.slice(11, 19)} UTC`;
}
