/*
 * Every count, length and depth that comes from outside has its limit here, with the reason for its
 * size.  What is over its limit gives ERR_LIMIT or ERR_BADDATA, never a crash or an endless loop.
 */
#ifndef GRF_BASE_LIMITS_H
#define GRF_BASE_LIMITS_H

/* rsp/ */
#define LIMIT_PACKET (16u << 20) /* one reply, decoded; gdbserver's largest is 128 KB */
#define LIMIT_XFER (64u << 20)   /* one qXfer object (target.xml, auxv, exec-file) */
#define LIMIT_TEXT (1u << 20)    /* a file of /proc or of a cgroup; a process's status has 2 KB */
#define LIMIT_THREADS 100000u    /* threads of a process */

/* target/ */
#define LIMIT_EXE_SIZE (8ull << 30) /* an executable fetched from the stub */
#define LIMIT_SECTIONS 100000u
/* program headers of a core file; the kernel's own limit is vm.max_map_count */
#define LIMIT_CORE_SEGMENTS (1u << 24)
#define LIMIT_CORE_NOTES (1ull << 30) /* 100000 threads with all their registers */
#define LIMIT_MAPS (1u << 28)         /* /proc/PID/maps */
#define LIMIT_SMAPS (1u << 28)        /* /proc/PID/smaps: some 700 bytes a mapping */
#define LIMIT_READ (1ull << 40)       /* one range of memory */

#define LIMIT_GUEST_RAM (1ull << 44)  /* 16 TB; QEMU's largest guests have 12 */
#define LIMIT_GUEST_VCPUS 4096u       /* KVM_MAX_VCPUS */
#define LIMIT_GUEST_TABLES (1u << 17) /* top page tables of a guest: two a process */
#define LIMIT_GUEST_FOUND 4096u       /* processes of a guest that run one program */
#define LIMIT_GUEST_REFS 64u          /* ends of top page tables: one or two a kernel */
#define LIMIT_GUEST_PLACES 64u        /* where a PIE may be, by what single pages hold */
#define LIMIT_PAGE_TABLES (1u << 22)  /* of a guest, held at a time: 16 GB of them map 8 TB */
#define LIMIT_GUEST_PAGES (1u << 24)  /* of a process in a guest, looked at one by one: 64 GB */

/* heap/ */
#define LIMIT_MODULES 4096u           /* moduledata chain: plugins */
#define LIMIT_SPANS (1ull << 28)      /* mheap.allspans: 2 TB of 8 KB spans */
#define LIMIT_HEAP_PAGES (1ull << 28) /* of all spans: 2 TB */
#define LIMIT_GOROUTINES (1ull << 26)
#define LIMIT_MS 1000000u      /* runtime.allm chain */
#define LIMIT_PS 65536u        /* runtime.allp; GOMAXPROCS has no bound, cores do */
#define LIMIT_FRAMES 50000000u /* frames of one goroutine: 1 GB of 20-byte frames */
/* masks of stack objects that GC programs make: 4 GB of objects; a stack has 1 GB at most */
#define LIMIT_STACK_PROGRAMS (64u << 20)
#define LIMIT_RACE_STEPS (1u << 24) /* frames looked at for where the race detector was called */
#define LIMIT_TEXT_SECTIONS \
	4096u /* of a module; a linker makes one per 32 MB on ARM, 2 GB on others */
#define LIMIT_PC_STEPS (1u << 20) /* of a pc table; a function's is some thousands at most */
#define LIMIT_WAITING 65536u      /* channels that one goroutine waits for (select) */
#define LIMIT_BLOCKS (1u << 24)   /* finalizer and cleanup blocks */
#define LIMIT_ITABS (1u << 24)    /* slots of runtime.itabTable */
#define LIMIT_SPECIALS (1ull << 30)
#define LIMIT_WASTE_REFS (1u << 24)   /* slices and strings that use parts of buffers: 200 MB */
#define LIMIT_CAPTURES 100u           /* compared: their trees are 16 bytes a node and capture */
#define LIMIT_BASE_FILE (1ull << 30)  /* a *.json of --base: some 100 bytes a node */
#define LIMIT_JSON_DEPTH 32           /* of it; ours have 6 */
#define LIMIT_PATH 100000u            /* frames of a path in it; --max-depth is 256 */
#define LIMIT_GCMASK_DEPTH 64         /* nesting of arrays and structs when a mask is built */
#define LIMIT_TYPE_DEPTH 64           /* nesting when a type is named or walked */
#define LIMIT_TYPE_NAMES (1ull << 29) /* of types and fields, without DWARF: bytes in all */
#define LIMIT_NAMESAKES 4096u         /* types, or instances of a function, of one name */
#define LIMIT_TYPE_FIELDS 65536u
#define LIMIT_SHAPE_PARTS 65536u /* parts of a type in its first 64 words, at all depths */
#define LIMIT_NAME 65536u        /* a type's or field's name, bytes */

#endif
