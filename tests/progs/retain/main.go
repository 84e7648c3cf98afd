// retain holds memory in shapes in which several roots have a part, and knows by the collector what each root alone
// keeps.
//
//	retain        builds all of them, prints "READY" and waits
//	retain ROOT   builds all of them, lets go of that root, and prints "ROOT BYTES": what the collector freed
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

type node struct {
	next, other *node
	pad         [6]uint64 // 64 bytes
}

type pair struct {
	own, shared []byte
}

type ring struct {
	next, prev *ring
	payload    []byte
}

type hub struct {
	byName map[string]*node
	list   []*node
	any    any
}

var stats runtime.MemStats

var (
	left, right *pair         // each has its own, and both have one
	chain       *node         // a list ...
	middle      *node         // ... with a second way into its middle
	ringA       *ring         // a ring, entered in one place
	ringB       *ring         // a ring, entered in two
	ringC       *ring         //
	gate        *node         // one object in front of a mesh
	table       map[int]*pair // values are shared with `slice` where the key is even
	slice       []*pair       //
	iface       any           // a hub that nothing else has
	inner       *[]byte       // a pointer into an object
	big         []byte        // a large object, that `part` has a part of
	part        []byte        //
	bufs        [4][]byte     // roots of one variable
	fn          func() int    // a closure
	ended       = map[string]chan bool{}
)

func list(n int) *node {
	var head *node
	for i := 0; i < n; i++ {
		head = &node{next: head}
	}
	return head
}

func makeRing(n int) *ring {
	first := &ring{payload: make([]byte, 512)}
	at := first
	for i := 1; i < n; i++ {
		r := &ring{prev: at, payload: make([]byte, 512)}
		at.next = r
		at = r
	}
	at.next, first.prev = first, at
	return first
}

// Rows of nodes, each of which leads to two of the next row, and the last back to the first.
func mesh(rows, columns int) *node {
	first := &node{}
	below := make([]*node, columns)
	for i := range below {
		below[i] = &node{next: first}
	}
	for r := 0; r < rows; r++ {
		row := make([]*node, columns)
		for i := range row {
			row[i] = &node{next: below[i], other: below[(i+1)%columns]}
		}
		below = row
	}
	first.next = &node{next: below[0], other: below[columns/2]}
	return first
}

//go:noinline
func holder(name string, payload []*node, end chan bool) {
	ended[name] = end
	<-end
	runtime.KeepAlive(payload)
}

//go:noinline
func nodes(n int) []*node {
	v := make([]*node, n)
	for i := range v {
		v[i] = &node{}
	}
	return v
}

//go:noinline
func build() {
	shared := make([]byte, 8192)
	left = &pair{make([]byte, 4096), shared}
	right = &pair{make([]byte, 1024), shared}
	chain = list(1000)
	middle = chain
	for i := 0; i < 400; i++ {
		middle = middle.next
	}
	ringA = makeRing(100)
	ringB = makeRing(50)
	ringC = ringB.next.next
	gate = mesh(40, 20)
	table = map[int]*pair{}
	for i := 0; i < 1000; i++ {
		p := &pair{own: make([]byte, 256)}
		table[i] = p
		if i%2 == 0 {
			slice = append(slice, p)
		}
	}
	h := &hub{byName: map[string]*node{}, list: nodes(64), any: nodes(32)}
	// One bucket: how much memory a larger map takes differs by the process, with its hashes.
	for i := 0; i < 8; i++ {
		// longer than what shares a slot with others
		h.byName[fmt.Sprint("the name of the node ", i)] = h.list[i*8]
	}
	iface = h
	both := &pair{own: make([]byte, 2048), shared: make([]byte, 128)}
	inner = &both.shared
	big = make([]byte, 1<<20)
	part = big[100:200]
	for i := range bufs {
		bufs[i] = make([]byte, 1024<<i)
	}
	payload := nodes(200)
	fn = func() int { return len(payload) }
}

//go:noinline
func drop(name string) {
	switch name {
	case "main.left":
		left = nil
	case "main.right":
		right = nil
	case "main.chain":
		chain = nil
	case "main.middle":
		middle = nil
	case "main.ringA":
		ringA = nil
	case "main.ringB":
		ringB = nil
	case "main.ringC":
		ringC = nil
	case "main.gate":
		gate = nil
	case "main.table":
		table = nil
	case "main.slice":
		slice = nil
	case "main.iface":
		iface = nil
	case "main.inner":
		inner = nil
	case "main.big":
		big = nil
	case "main.part":
		part = nil
	case "main.bufs":
		bufs = [4][]byte{}
	case "main.fn":
		fn = nil
	case "main.holder.payload":
		for _, end := range ended {
			close(end)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func heap() uint64 {
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// settled is what is allocated when the runtime itself makes nothing more: threads, workers of the collector.
func settled() uint64 {
	last, same := heap(), 0
	for same < 5 {
		time.Sleep(5 * time.Millisecond)
		now := heap()
		if same++; now != last {
			last, same = now, 0
		}
	}
	return last
}

func main() {
	build()
	shared := nodes(50)
	ends := []chan bool{make(chan bool), make(chan bool)}
	go holder("first", append(nodes(30), shared...), ends[0])
	time.Sleep(20 * time.Millisecond)
	go holder("second", append(nodes(70), shared...), ends[1])
	time.Sleep(20 * time.Millisecond)
	if len(os.Args) > 1 {
		fmt.Println("measuring")
		before := settled()
		drop(os.Args[1])
		fmt.Println(os.Args[1], int64(before-settled()))
		return
	}
	heap()
	fmt.Println("READY")
	for {
		time.Sleep(time.Hour)
	}
}
