// Containers in containers: sessions in a sync.Map, each with a sync.Map of attributes and a list of events; tenants
// that have users that have files in caches of one generic type; a long chain of contexts; JSON.  The argument is
// how many sessions there are (default 500).  Says "heapalloc N" and READY.
package main

import (
	"container/list"
	"container/ring"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

type Session struct {
	ID    string
	Attrs sync.Map
	Hist  *list.List
}

type Attr struct{ Data []byte }
type Event struct{ Body []byte }

type node[K comparable, V any] struct {
	prev, next *node[K, V]
	key        K
	val        V
}

// A generic cache in the order of use.
type Cache[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]*node[K, V]
	root  node[K, V]
}

func NewCache[K comparable, V any]() *Cache[K, V] {
	c := &Cache[K, V]{items: map[K]*node[K, V]{}}
	c.root.prev, c.root.next = &c.root, &c.root
	return c
}

func (c *Cache[K, V]) Put(k K, v V) {
	n := &node[K, V]{&c.root, c.root.next, k, v}
	c.root.next.prev = n
	c.root.next = n
	c.items[k] = n
}

type File struct{ Blob []byte }
type User struct {
	Name  string
	Files *Cache[string, *File]
}
type Tenant struct {
	Name  string
	Users *Cache[string, *User]
}

type Config struct{ Raw []byte }

type reqID int

var (
	sessions sync.Map
	tenants  = NewCache[string, *Tenant]()
	ctx      context.Context
	doc      any
	config   atomic.Value
	current  atomic.Pointer[Config]
	recent   *ring.Ring
)

func main() {
	n := 500
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < n; i++ {
		s := &Session{ID: strconv.Itoa(i), Hist: list.New()}
		for j := 0; j < 20; j++ {
			s.Attrs.Store("attr"+strconv.Itoa(j), &Attr{make([]byte, 64)})
			s.Hist.PushBack(&Event{make([]byte, 48)})
		}
		sessions.Store(s.ID, s)
	}
	for i := 0; i < n/50+1; i++ {
		t := &Tenant{strconv.Itoa(i), NewCache[string, *User]()}
		for j := 0; j < 20; j++ {
			u := &User{strconv.Itoa(j), NewCache[string, *File]()}
			for k := 0; k < 20; k++ {
				u.Files.Put(strconv.Itoa(k), &File{make([]byte, 64)})
			}
			t.Users.Put(u.Name, u)
		}
		tenants.Put(t.Name, t)
	}
	ctx = context.Background()
	for i := 0; i < 10*n; i++ {
		ctx = context.WithValue(ctx, reqID(i), make([]byte, 32))
	}
	text := `{"a": [{"b": "text", "c": [1, 2, {"d": ["x", "y"]}]}, {"e": {"f": {"g": [[["deep"]]]}}}]}`
	var docs []any
	for i := 0; i < n/5; i++ {
		var d any
		json.Unmarshal([]byte(text), &d)
		docs = append(docs, d)
	}
	doc = docs
	config.Store(&Config{make([]byte, 10000)})
	current.Store(&Config{make([]byte, 20000)})
	recent = ring.New(50)
	for i := 0; i < 50; i++ {
		recent.Value = &Event{make([]byte, 500)}
		recent = recent.Next()
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	runtime.GC()
	runtime.GC()
	debug.SetGCPercent(-1)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("heapalloc", m.HeapAlloc)
	fmt.Println("READY")
	<-ch
	fmt.Println(&sessions, tenants, ctx, doc, &config, &current, recent)
}
