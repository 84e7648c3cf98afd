// heap makes a heap like a service's: some 6.3 million objects per GB, about 70 % of the bytes in []byte.
//
//	heap GB [lazy]
//
// lazy: the program writes to a quarter of its []byte only, so that about half of the heap has no memory behind it.  It
// prints "heapalloc N", "objects N" (both after a collection; small strings that share a slot count one by one) and
// "READY", then waits.  SIGUSR1 prints "longest stop MS": by how much a thread that sleeps for half a millisecond at a
// time overslept at most since the last SIGUSR1 (or READY).  The same argument makes the same heap.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type codec interface{ decode([]byte) int }

type gzipCodec struct {
	window []byte
	level  int
}

type jsonCodec struct{ strict, indent int64 }

type plainCodec struct{ name string }

func (c *gzipCodec) decode(b []byte) int { return len(c.window) + c.level + len(b) }
func (c *jsonCodec) decode(b []byte) int { return int(c.strict) + len(b) }
func (c plainCodec) decode(b []byte) int { return len(c.name) + len(b) }

// A session's log: a linked list.
type event struct {
	next     *event
	name     string
	at, took int64
	who      *user
}

type user struct {
	name, mail string
	groups     []string
	quota      *int64
}

type session struct {
	id      string
	user    *user
	tags    []string
	attrs   map[string]any
	body    []byte
	events  *event
	next    *session // the least recently used list
	onClose func() string
	codec   codec
}

// A tree with many children, as of a database's index.
type page struct {
	keys     []string
	children []*page
	rows     []*row
}

type row struct {
	key    string
	fields [2]*string
	size   int64
}

// A binary tree.
type node struct {
	left, right *node
	key         uint64
	value       any
}

type shard struct {
	mu       sync.Mutex
	sessions map[string]*session
	byNumber map[uint64]*event
	newest   *session
}

type store struct {
	shards [64]*shard
	index  *page
	tree   *node
	chunks [][]byte
}

var (
	service = &store{}
	names   = []string{"open", "read", "write", "flush", "close", "retry"}
)

type maker struct {
	lazy         bool
	made         int // blobs
	r            *rand.Rand
	small, blobs int64 // bytes, about
	n            uint64
}

func (m *maker) str(prefix string) string {
	s := prefix + strconv.FormatUint(m.r.Uint64(), 36)
	m.small += int64(len(s)+15) &^ 15
	return s
}

func (m *maker) blob(n int) []byte {
	m.blobs += int64(n)
	b := make([]byte, n)
	m.made++
	for i := 0; i < n && (!m.lazy || m.made%4 == 0); i += 4096 {
		b[i] = 1
	}
	return b
}

// Contents sized so that they stay at 70 %: mostly a few KB, some of 64 KB.
func (m *maker) body() []byte {
	due := m.small*7/3 - m.blobs
	switch {
	case due <= 256:
		return nil
	case due > 400000 && m.n%16 == 0:
		return m.blob(1<<16 + m.r.Intn(1<<16))
	case due > 16384 && m.n%4 == 0:
		return m.blob(1<<13 + m.r.Intn(1<<13))
	}
	return m.blob(256 + m.r.Intn(2048))
}

func (m *maker) user() *user {
	quota := new(int64)
	m.small += 64 + 8 + 32
	return &user{name: m.str("user-"), mail: m.str("mail@"), groups: []string{m.str("group-"), "all"}, quota: quota}
}

func (m *maker) codec() codec {
	m.small += 16
	switch m.n % 3 {
	case 0:
		m.small += 16
		return &gzipCodec{m.blob(64 + m.r.Intn(64)), 6}
	case 1:
		return &jsonCodec{1, 2}
	}
	return plainCodec{"plain"}
}

func (m *maker) session(u *user) *session {
	m.n++
	s := &session{id: m.str("session-id-"), user: u, tags: make([]string, 0, 4), body: m.body(), codec: m.codec()}
	m.small += 128 + 64 + 32
	for i := 0; i < 3; i++ {
		s.tags = append(s.tags, m.str("tag-of-it-"))
	}
	for i := 0; i < 8; i++ {
		s.events = &event{s.events, names[i%len(names)], int64(m.n), 1, u}
		m.small += 48
	}
	if m.n%4 == 0 {
		s.attrs = map[string]any{m.str("attribute-"): m.n, m.str("a-"): s.events, m.str("b-"): &[3]int64{1}}
		m.small += 48 + 288 + 8 + 24
	}
	reason, id := "bye", s.id
	s.onClose = func() string { return reason + id + names[len(id)%2] }
	return s
}

func (m *maker) page(depth int) *page {
	p := &page{}
	m.small += 80
	for i := 0; i < 16; i++ {
		p.keys = append(p.keys, m.str("key-"))
		m.small += 32
		if depth > 0 {
			p.children = append(p.children, m.page(depth-1))
			m.small += 16
			continue
		}
		r := &row{key: p.keys[i], size: int64(i)}
		for k := range r.fields {
			f := m.str("the-value-")
			r.fields[k] = &f
		}
		m.small += 48 + 32 + 16
		p.rows = append(p.rows, r)
	}
	return p
}

func (n *node) put(m *maker, key uint64, value any) *node {
	if n == nil {
		m.small += 48
		return &node{key: key, value: value}
	}
	if key < n.key {
		n.left = n.left.put(m, key, value)
	} else {
		n.right = n.right.put(m, key, value)
	}
	return n
}

// One round: some 27,000 objects, 4.5 MB.
func (m *maker) round(local *[]*session) {
	for i := 0; i < 1000; i++ {
		var u *user
		if i%8 == 0 {
			u = m.user()
		} else if s := service.shards[i&63].newest; s != nil {
			u = s.user
		}
		s := m.session(u)
		if i%10 == 9 {
			*local = append(*local, s)
			continue
		}
		sh := service.shards[m.r.Intn(len(service.shards))]
		s.next = sh.newest
		sh.newest = s
		sh.sessions[s.id] = s
		m.small += 48
		if i%4 == 0 {
			sh.byNumber[m.n] = &event{nil, "numbered", 0, 0, u}
			m.small += 96
		}
	}
	if m.n%4000 == 0 {
		service.index.children = append(service.index.children, m.page(2))
	}
	for i := 0; i < 4; i++ {
		service.tree = service.tree.put(m, m.r.Uint64(), m.n)
	}
	if due := m.small*7/3 - m.blobs; due > 1<<20 {
		service.chunks = append(service.chunks, m.blob(1<<20))
	}
}

// A goroutine's own: some sessions, and a request that waits.
func worker(sessions []*session, stop chan struct{}) {
	request := &session{id: fmt.Sprintf("request of %d", len(sessions)), body: make([]byte, 4096)}
	<-stop
	runtime.KeepAlive(sessions)
	runtime.KeepAlive(request)
}

// Oversleeping, in nanoseconds.
var longest atomic.Int64

func watch() {
	const nap = 500 * time.Microsecond
	runtime.LockOSThread()
	for last := time.Now(); ; {
		ts := syscall.NsecToTimespec(int64(nap))
		syscall.Nanosleep(&ts, nil)
		now := time.Now()
		if gap := int64(now.Sub(last) - nap); gap > longest.Load() {
			longest.Store(gap)
		}
		last = now
	}
}

func main() {
	lazy := len(os.Args) == 3 && os.Args[2] == "lazy"
	if len(os.Args) != 2 && !lazy {
		fmt.Fprintln(os.Stderr, "usage: heap GB [lazy]")
		os.Exit(2)
	}
	gb, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil || gb <= 0 {
		fmt.Fprintln(os.Stderr, "heap: not a size in GB:", os.Args[1])
		os.Exit(2)
	}
	old := debug.SetGCPercent(20)
	m := &maker{lazy: lazy, r: rand.New(rand.NewSource(1))}
	for i := range service.shards {
		service.shards[i] = &shard{sessions: map[string]*session{}, byNumber: map[uint64]*event{}}
	}
	service.index = &page{}
	local := make([][]*session, 100)
	for i := 0; float64(m.small+m.blobs) < gb*1e9; i++ {
		m.round(&local[i%len(local)])
	}
	stop := make(chan struct{})
	for _, l := range local {
		go worker(l, stop)
	}
	local = nil
	debug.SetGCPercent(old)
	runtime.GC()
	debug.FreeOSMemory()

	var st runtime.MemStats
	runtime.ReadMemStats(&st)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go watch()
	time.Sleep(10 * time.Millisecond)
	longest.Store(0)
	fmt.Println("heapalloc", st.HeapAlloc)
	fmt.Println("objects", st.HeapObjects)
	fmt.Println("READY")
	for range signals {
		fmt.Printf("longest stop %.1f\n", float64(longest.Swap(0))/1e6)
	}
	runtime.KeepAlive(service)
	close(stop)
}
