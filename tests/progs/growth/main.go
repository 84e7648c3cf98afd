// Growth: a server under load that leaks in three ways, at three rates.
//
//	/hub     16 KiB a request, in a slice of a hub: the fastest
//	/session  8 KiB a request, in a map
//	/watch    a goroutine a request that waits for a channel forever, with 4 KiB
//	/cache   a cache that fills, and is emptied every five seconds
//
// beside a table that is large and never changes.  Every 50 ms a line says what each has by then:
//
//	at UNIXNANO hub BYTES sessions BYTES goroutines N
//
// -idle: no load, nothing changes, but that garbage is made, and collected on SIGUSR1.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type message struct {
	id   int
	body []byte
}

type hub struct {
	mu    sync.Mutex
	queue []*message
	bytes int
}

type session struct {
	id   int
	data [8184]byte
}

type store struct {
	mu    sync.Mutex
	byID  map[int]*session
	bytes int
}

type watcher struct {
	events chan int
	buf    []byte
}

type cache struct {
	mu      sync.Mutex
	entries map[int][]byte
	since   time.Time
}

var (
	messages = &hub{}
	sessions = &store{byID: map[int]*session{}}
	pages    = &cache{entries: map[int][]byte{}, since: time.Now()}
	table    = make([][]byte, 2000)
	mu       sync.Mutex
	watchers int

	litterbox []byte
)

func publish(w http.ResponseWriter, r *http.Request) {
	messages.mu.Lock()
	defer messages.mu.Unlock()
	messages.queue = append(messages.queue, &message{len(messages.queue), make([]byte, 16<<10)})
	messages.bytes += 16 << 10
}

func login(w http.ResponseWriter, r *http.Request) {
	sessions.mu.Lock()
	defer sessions.mu.Unlock()
	id := len(sessions.byID)
	sessions.byID[id] = &session{id: id}
	sessions.bytes += 8 << 10
}

func (w *watcher) watch() {
	for e := range w.events {
		w.buf[e]++
	}
}

func subscribe(http.ResponseWriter, *http.Request) {
	w := &watcher{make(chan int), make([]byte, 4<<10)}
	go w.watch()
	mu.Lock()
	watchers++
	mu.Unlock()
}

func page(http.ResponseWriter, *http.Request) {
	pages.mu.Lock()
	defer pages.mu.Unlock()
	if time.Since(pages.since) > 5*time.Second {
		pages.entries, pages.since = map[int][]byte{}, time.Now()
	}
	pages.entries[len(pages.entries)] = make([]byte, 16<<10)
}

func report() {
	messages.mu.Lock()
	sessions.mu.Lock()
	mu.Lock()
	fmt.Println("at", time.Now().UnixNano(), "hub", messages.bytes, "sessions", sessions.bytes, "goroutines", watchers)
	mu.Unlock()
	sessions.mu.Unlock()
	messages.mu.Unlock()
}

// client asks for a page so many times a second.
func client(url string, rate int) {
	for range time.Tick(time.Second / time.Duration(rate)) {
		r, err := http.Get(url)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
}

// litter makes garbage, in pieces so small that one caught alive is nothing.
func litter() {
	for range time.Tick(time.Millisecond) {
		for i := 0; i < 16; i++ {
			litterbox = make([]byte, 2<<10)
			litterbox = nil
		}
	}
}

func main() {
	idle := flag.Bool("idle", false, "")
	flag.Parse()
	for i := range table {
		table[i] = make([]byte, 8<<10)
	}
	http.HandleFunc("/hub", publish)
	http.HandleFunc("/session", login)
	http.HandleFunc("/watch", subscribe)
	http.HandleFunc("/cache", page)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, nil)
	if !*idle {
		url := "http://" + l.Addr().String()
		go client(url+"/hub", 80)
		go client(url+"/session", 60)
		go client(url+"/watch", 40)
		go client(url+"/cache", 50)
	}
	time.Sleep(time.Second / 2)
	if *idle {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR1)
		go litter()
		fmt.Println("READY")
		for range asked {
			runtime.GC()
			fmt.Println("collected")
		}
	}
	fmt.Println("READY")
	for range time.Tick(50 * time.Millisecond) {
		report()
	}
}
