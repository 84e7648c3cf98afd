//go:build goexperiment.arenas
// +build goexperiment.arenas

package main

import (
	"arena"
	"runtime"
	"strings"
	"unsafe"
)

// A chunk of an arena is one object; from Go 1.22 on its pointer map lies in it, behind the object.
func chunkSize() uintptr {
	v := runtime.Version()
	if strings.HasPrefix(v, "go1.20") || strings.HasPrefix(v, "go1.21") || strings.Contains(v, "noallocheaders") {
		return 8 << 20
	}
	return 8<<20 - 8<<20/64 - 48
}

type arenaRow struct {
	pad  [3]int
	data []byte
	next *arenaRow
}

var (
	zooArena      *arena.Arena
	zooArenaNew   *arenaRow
	zooArenaSlice []*arenaRow
	zooArenaGone  []byte
	zooArenaEmpty *arena.Arena
)

//go:noinline
func keepArenas() {
	// Freed, the first chunk is taken out of memory, though something still points there; the second is kept for
	// the next arena.
	a := arena.NewArena()
	for i := 0; i < 5; i++ {
		s := arena.MakeSlice[byte](a, 2<<20, 2<<20)
		fill(s, i)
		if i == 0 {
			zooArenaGone = s
		}
	}
	a.Free()

	// Takes the second chunk.
	zooArena = arena.NewArena()
	s := arena.MakeSlice[byte](zooArena, newPages(), nextPages*page)
	fill(s, nPromises)
	keep("zooArena", `^main\.zooArena(;|$)`, unsafe.Pointer(&s[0]), uintptr(len(s)))
	promises[nPromises-1].bytes = chunkSize()
	for i := 0; i < 50; i++ {
		arena.New[arenaRow](zooArena).next = &arenaRow{}
	}
	zooArenaNew = arena.New[arenaRow](zooArena)
	zooArenaNew.data = pay("zooArenaNew", `^main\.zooArena(New|Slice);`)
	zooArenaSlice = arena.MakeSlice[*arenaRow](zooArena, 1000, 1000)
	zooArenaSlice[999] = arena.New[arenaRow](zooArena)
	zooArenaSlice[999].data = pay("zooArenaSlice", `^main\.zooArena(New|Slice);`)
	// Full chunks behind the one in use.
	for i := 0; i < 4; i++ {
		s := arena.MakeSlice[byte](zooArena, 2<<20, 2<<20)
		fill(s, i)
	}
	runtime.GC()

	// Nothing uses its chunk now.
	b := arena.NewArena()
	arena.New[arenaRow](b).data = pay("arenaReuse", `^runtime\.userArenaState\b`)
	b.Free()
}
