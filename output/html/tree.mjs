// A tree of frames in columns. Node 0 is the top, which holds everything; a node's parent has a
// smaller number. layTree() says how wide each node is by a measure, and where it begins.

export class Tree {
	// data: { up[], frame[], bytes[], objects[], retained[]?, instances[]? }, of the nodes from 1 on
	constructor(data, frames, top = "all that is live") {
		this.top = top;
		const n = data.up.length + 1;
		this.n = n;
		this.frames = frames;
		this.parent = new Int32Array(n);
		this.frame = new Int32Array(n);
		this.depth = new Int32Array(n);
		this.ownBytes = new Float64Array(n);
		this.ownObjects = new Float64Array(n);
		this.retained = data.retained ? new Float64Array(n) : null;
		this.instances = data.instances ? new Float64Array(n) : null;
		this.parent[0] = -1;
		this.frame[0] = -1;
		for (let i = 1; i < n; i++) {
			this.parent[i] = i - data.up[i - 1];
			this.frame[i] = data.frame[i - 1];
			this.depth[i] = this.depth[this.parent[i]] + 1;
			this.ownBytes[i] = data.bytes[i - 1];
			this.ownObjects[i] = data.objects[i - 1];
			if (this.retained)
				this.retained[i] = data.retained[i - 1];
			if (this.instances)
				this.instances[i] = data.instances[i - 1];
		}
		this.bytes = this.sums(this.ownBytes);
		this.objects = this.sums(this.ownObjects);
		this.findKids();
	}

	// What each node and all below it hold; nothing of what is hidden.
	sums(own, hidden) {
		const sum = Float64Array.from(own);
		if (hidden)
			for (let i = 1; i < this.n; i++)
				if (hidden[i])
					sum[i] = 0;
		for (let i = this.n - 1; i > 0; i--)
			sum[this.parent[i]] += sum[i];
		return sum;
	}

	// kids[first[v]] to kids[first[v + 1] - 1] are v's.
	findKids() {
		this.first = new Int32Array(this.n + 1);
		for (let i = 1; i < this.n; i++)
			this.first[this.parent[i] + 1]++;
		for (let i = 0; i < this.n; i++)
			this.first[i + 1] += this.first[i];
		const at = this.first.slice();
		this.kids = new Int32Array(Math.max(0, this.n - 1));
		for (let i = 1; i < this.n; i++)
			this.kids[at[this.parent[i]]++] = i;
	}

	name(node) {
		return node ? this.frames[this.frame[node]] : this.top;
	}

	// Frames from the root's to the node's.
	path(node) {
		const out = [];
		for (let v = node; v > 0; v = this.parent[v])
			out.push(this.frames[this.frame[v]]);
		return out.reverse();
	}

	// The node of the path, or the last one of it that there is; exact: -1 if it is not there whole.
	find(path, exact) {
		let node = 0;
		for (const frame of path) {
			let next = -1;
			for (let k = this.first[node]; k < this.first[node + 1] && next < 0; k++)
				if (this.frames[this.frame[this.kids[k]]] === frame)
					next = this.kids[k];
			if (next < 0)
				return exact ? -1 : node;
			node = next;
		}
		return node;
	}

	isBelow(node, top) {
		let v = node;
		while (v > top)
			v = this.parent[v];
		return v === top;
	}

	// By node: whether it or a node above it is among the nodes.
	below(nodes) {
		const out = new Uint8Array(this.n);
		for (const v of nodes)
			out[v] = 1;
		for (let i = 1; i < this.n; i++)
			if (out[this.parent[i]])
				out[i] = 1;
		return out;
	}
}

// { tree, size, start, kids }: size by node, start its left end in the same unit, kids the largest first.
export function layTree(tree, measure, hiddenNodes) {
	const hidden = hiddenNodes.length ? tree.below(hiddenNodes) : null;
	const own = measure === "objects" ? tree.ownObjects : tree.ownBytes;
	const size = tree.sums(own, hidden);
	const kids = tree.kids.slice();
	const start = new Float64Array(tree.n);
	for (let v = 0; v < tree.n; v++) {
		const from = tree.first[v];
		const to = tree.first[v + 1];
		if (from === to)
			continue;
		if (to - from > 1)
			kids.subarray(from, to).sort((a, b) => size[b] - size[a] || a - b);
	}
	// A parent's number is smaller than its children's: its start is known when they are laid.
	for (let v = 0; v < tree.n; v++) {
		let at = start[v];
		for (let k = tree.first[v]; k < tree.first[v + 1]; k++) {
			start[kids[k]] = at;
			at += size[kids[k]];
		}
	}
	return { tree, measure, size, start, kids };
}

// What matches: { frames: by frame, nodes: by node, count, size: of all that is at matching frames or below }.
export function searchTree(layout, matches) {
	const { tree, size } = layout;
	const frames = Uint8Array.from(tree.frames, (text) => (matches(text) ? 1 : 0));
	const nodes = new Uint8Array(tree.n);
	const inside = new Uint8Array(tree.n);
	let count = 0;
	let sum = 0;
	for (let i = 1; i < tree.n; i++) {
		nodes[i] = frames[tree.frame[i]];
		inside[i] = nodes[i] | inside[tree.parent[i]];
		if (!nodes[i] || !size[i])
			continue;
		count++;
		if (!inside[tree.parent[i]])
			sum += size[i];
	}
	return { nodes, inside, count, size: sum };
}
