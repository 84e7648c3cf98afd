// All memory of the process in one bar: what is live by kind of root, what is not, what is not Go's.

const KINDS = {
	"package variables": ["variables", "Objects that package variables keep."],
	"goroutines": ["goroutines", "Objects that goroutines keep: their locals, and what they cost by themselves."],
	"finalizers": ["finalizers", "Objects with finalizers, and what these keep."],
	"cleanups": ["cleanups", "What cleanups keep until they run."],
	"queued finalizers and cleanups": ["queued", "Finalizers and cleanups that are due, and what they keep."],
	"weak handles": ["weak", "What weak pointers are made of."],
	"timers": ["timers", "What timers will call, and what that keeps."],
	"the runtime": ["runtime-live", "Objects that the runtime keeps for itself, in sync.Pools among others."],
};

// [{ key, label, bytes, what, live, outside }], in the order of the bar; what takes nothing is left out.
export function memoryParts(report) {
	const m = report.memory;
	const o = report.outside;
	if (!m)
		return [];
	const parts = Object.entries(m.live).map(([kind, bytes]) => {
		const [key, what] = KINDS[kind] || ["other", ""];
		return { key, label: kind, bytes, what, live: true };
	});
	const add = (key, label, bytes, what, outside) => parts.push({ key, label, bytes, what, live: false, outside: Boolean(outside) });
	add("garbage", "garbage", m.garbage_bytes + m.unswept_bytes + m.waiting_for_finalizers_bytes,
		"Nothing keeps it: the next collections free it.");
	add("holes", "holes", m.free_slots_bytes + m.span_ends_bytes,
		"Free slots and ends of spans that are in use: free for objects of the same size only.");
	if (m.sys_bytes !== undefined)
		add("idle", "idle", m.heap_idle_bytes - m.heap_released_bytes, "Spans without objects that were not given back to the system.");
	add("stacks", "stacks", m.stack_inuse_bytes, "Stacks of goroutines.");
	if (m.sys_bytes !== undefined)
		add("runtime", "of the runtime", m.gc_bytes + m.mspan_bytes + m.mcache_bytes + m.buckhash_bytes + m.other_bytes + m.thread_stacks_bytes,
			"The runtime's own structures: bitmaps, span tables, profiling buckets.");
	if (o) {
		add("c-heap", "C heap", o.c_heap_bytes, "Not Go's: the C library's malloc.", true);
		add("anonymous", "anonymous mappings", o.anonymous_bytes, "Not Go's: mmap, and large blocks of the C library's malloc.", true);
		add("files", "files", o.files_bytes, "Not Go's: mapped files in memory, the program itself among them.", true);
		add("outside", "other", o.stacks_bytes + o.other_bytes, "Not Go's: the first thread's stack, and the like.", true);
	}
	return parts.filter((p) => p.bytes > 0);
}
