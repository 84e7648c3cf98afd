// Recursive data structures, one package variable each: what a profile must fold to be read.  The argument is
// their size together, in MB (default 16).  Says "heapalloc N" and READY.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
)

type Link struct {
	Next *Link
	Data *[48]byte
}

type Tree struct {
	Left, Right *Tree
	Key         int
	Data        *[48]byte
}

type Trie struct {
	Kids [8]*Trie
	Data []byte
}

type BTree struct {
	Keys []int
	Vals []*Item
	Kids []*BTree
}

type Item struct{ Name string }

type Skip struct {
	Next []*Skip
	Data []byte
}

// A rope: an interface between its nodes.
type Rope interface{ Len() int }
type Leaf struct{ Text []byte }
type Concat struct{ L, R Rope }

func (l *Leaf) Len() int   { return len(l.Text) }
func (c *Concat) Len() int { return c.L.Len() + c.R.Len() }

// A cache in the order of use: a ring of entries, and a map into it.
type LRU struct {
	Root  Entry
	Index map[int]*Entry
}
type Entry struct {
	Prev, Next *Entry
	Value      []byte
}

// Directories that know their parents.
type Dir struct {
	Parent *Dir
	Kids   map[string]*Dir
	Blob   []byte
}

var (
	list  *Link
	tree  *Tree
	trie  *Trie
	btree *BTree
	skip  *Skip
	rope  Rope
	lru   *LRU
	root  *Dir
)

func makeTree(depth int) *Tree {
	if depth == 0 {
		return nil
	}
	return &Tree{makeTree(depth - 1), makeTree(depth - 1), depth, new([48]byte)}
}

func makeTrie(n int) *Trie {
	t := &Trie{}
	for i := 0; i < n; i++ {
		at := t
		for k := i; k > 0; k /= 8 {
			if at.Kids[k%8] == nil {
				at.Kids[k%8] = &Trie{}
			}
			at = at.Kids[k%8]
		}
		at.Data = make([]byte, 32)
	}
	return t
}

func makeBTree(n int) *BTree {
	b := &BTree{}
	if n > 64 {
		for i := 0; i < 16; i++ {
			b.Kids = append(b.Kids, makeBTree(n/16))
		}
		n = 15
	}
	for i := 0; i < n; i++ {
		b.Keys = append(b.Keys, i)
		b.Vals = append(b.Vals, &Item{strconv.Itoa(i) + "-the-item"})
	}
	return b
}

func makeSkip(n int) *Skip {
	head := &Skip{Next: make([]*Skip, 12)}
	last := make([]*Skip, 12)
	for i := range last {
		last[i] = head
	}
	for i := 1; i <= n; i++ {
		height := 1
		for k := i; k%4 == 0 && height < 12; k /= 4 {
			height++
		}
		s := &Skip{make([]*Skip, height), make([]byte, 32)}
		for h := 0; h < height; h++ {
			last[h].Next[h] = s
			last[h] = s
		}
	}
	return head
}

func makeRope(n int) Rope {
	if n == 1 {
		return &Leaf{make([]byte, 48)}
	}
	return &Concat{makeRope(n / 2), makeRope(n - n/2)}
}

func makeLRU(n int) *LRU {
	c := &LRU{Index: map[int]*Entry{}}
	c.Root.Prev, c.Root.Next = &c.Root, &c.Root
	for i := 0; i < n; i++ {
		e := &Entry{&c.Root, c.Root.Next, make([]byte, 32)}
		c.Root.Next.Prev = e
		c.Root.Next = e
		c.Index[i] = e
	}
	return c
}

func makeDir(parent *Dir, depth int) *Dir {
	d := &Dir{Parent: parent, Blob: make([]byte, 64)}
	if depth > 0 {
		d.Kids = map[string]*Dir{}
		for i := 0; i < 10; i++ {
			d.Kids["kid"+strconv.Itoa(i)] = makeDir(d, depth-1)
		}
	}
	return d
}

func main() {
	debug.SetGCPercent(50)
	mb := 16
	if len(os.Args) > 1 {
		mb, _ = strconv.Atoi(os.Args[1])
	}
	n := mb * 1500 // of each kind
	for i := 0; i < 4*n; i++ {
		list = &Link{list, new([48]byte)}
	}
	depth := 1
	for 1<<depth < 3*n {
		depth++
	}
	tree = makeTree(depth)
	trie = makeTrie(n)
	btree = makeBTree(4 * n)
	skip = makeSkip(2 * n)
	rope = makeRope(2 * n)
	lru = makeLRU(n)
	depth = 0
	for k := 10; k < n; k *= 10 {
		depth++
	}
	root = makeDir(nil, depth)
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
	fmt.Println(list, tree, trie, btree, skip, rope.Len(), lru, root)
}
