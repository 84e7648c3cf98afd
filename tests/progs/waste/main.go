// waste holds memory that it does not use, each kind under a variable of its own; each takes some 25 MB.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

type record struct {
	id   int
	head []byte
	name string
}

type index struct {
	byID map[int]*record
}

var (
	records  = &index{byID: map[int]*record{}} // sub-slices in the middle, 64 bytes of 256 KB
	heads    []*record                         // the first 16 bytes of 256 KB
	names    []*record                         // substrings of 128 KB
	lines    []string                          // all lines of large texts: nothing is pinned
	grown    [][]byte                          // slices with room for more
	sparse   = map[int][64]byte{}              // a map that was large
	full     [][]byte                          // buffers that are used
	buffers  []*bytes.Buffer                   // empty ones, kept for use
	pointers [][]*record                       // sub-slices of arrays with pointers
)

//go:noinline
func fill() {
	for i := 0; i < 100; i++ {
		b := make([]byte, 256<<10)
		records.byID[i] = &record{id: i, head: b[1000:1064]}
		b = make([]byte, 256<<10)
		heads = append(heads, &record{id: i, head: b[:16]})
		full = append(full, make([]byte, 256<<10))
		grown = append(grown, make([]byte, 100<<10, 256<<10))
		buf := bytes.NewBuffer(make([]byte, 0, 256<<10))
		buffers = append(buffers, buf)
		pointers = append(pointers, make([]*record, 32<<10)[100:110])
	}
	for i := 0; i < 200; i++ {
		s := strings.Repeat("x", 128<<10)
		names = append(names, &record{id: i, name: s[500:530]}, &record{id: i, name: s[9000:9030]},
			&record{id: i, name: s[510:540]}) // 20 bytes of it are of the first one, too
		text := strings.Repeat("a line of text\n", 128<<10/15)
		lines = append(lines, strings.Split(text, "\n")...)
	}
	for i := 0; i < 300000; i++ {
		sparse[i] = [64]byte{}
	}
	for i := 100; i < 300000; i++ {
		delete(sparse, i)
	}
}

func main() {
	fill()
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("heapalloc", m.HeapAlloc)
	fmt.Println("READY")
	for len(os.Args) < 99 {
		time.Sleep(time.Hour)
	}
}
