// Leak is a small web service with three mistakes, for `make demo`: a session cache that nothing
// is ever taken out of, notifications that wait for ever on a channel that nobody reads, and an
// event log that only grows.  A visitor of its own keeps it busy until it has leaked -mb
// megabytes; then it says READY and serves on.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"time"
)

type User struct {
	ID    int
	Name  string
	Roles []string
}

type Session struct {
	User    *User
	Started time.Time
	Cart    map[string]*Item
	History []*Page
}

type Item struct {
	SKU   string
	Count int
	Image []byte
}

type Page struct {
	URL  string
	Body []byte
}

type Event struct {
	Time time.Time
	Kind string
	User string
	Text string
}

type Order struct {
	ID    int
	Items []*Item
	PDF   []byte
}

type server struct{ mu sync.Mutex }

var (
	sessions = map[string]*Session{} // nothing is ever taken out
	eventLog []Event                 // only grows
	orders   = make(chan *Order)     // nobody receives
)

func (s *server) session(id int) *Session {
	key := fmt.Sprintf("session-%08x", id*2654435761)
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := sessions[key]
	if ses == nil {
		ses = &Session{
			User:    &User{id, fmt.Sprintf("user%d", id), []string{"customer"}},
			Started: time.Now(),
			Cart:    map[string]*Item{},
		}
		sessions[key] = ses
	}
	return ses
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var id int
	fmt.Sscan(r.URL.Query().Get("user"), &id)
	ses := s.session(id)
	body := bytes.Repeat([]byte("<p>hello</p>"), 100)
	ses.History = append(ses.History, &Page{r.URL.String(), body})
	sku := fmt.Sprintf("sku-%d", id%97)
	ses.Cart[sku] = &Item{sku, 1, make([]byte, 2048)}
	s.logEvent("view", ses.User.Name, r.URL.String()+" by "+r.UserAgent())
	if id%20 == 0 {
		var items []*Item
		for _, it := range ses.Cart {
			items = append(items, it)
		}
		go notify(&Order{id, items, make([]byte, 8<<10)})
	}
	w.Write(body)
}

// notify waits for ever: the receiver was removed in a refactoring.
func notify(order *Order) {
	orders <- order
}

func (s *server) logEvent(kind, user, text string) {
	s.mu.Lock()
	eventLog = append(eventLog, Event{time.Now(), kind, user, text})
	s.mu.Unlock()
}

func visit(url string, id int) {
	resp, err := http.Get(fmt.Sprintf("%s/shop/%d?user=%d", url, id%13, id))
	if err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		os.Exit(1)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func main() {
	mb := flag.Int("mb", 64, "megabytes to leak")
	flag.Parse()
	web := httptest.NewServer(&server{})
	var stats runtime.MemStats
	for id := 0; ; id++ {
		visit(web.URL, id)
		if id%500 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&stats)
			if stats.HeapAlloc >= uint64(*mb)<<20 {
				break
			}
		}
	}
	fmt.Println("READY")
	for id := 0; ; id++ { // the same visitors again: the leak goes on, slowly
		visit(web.URL, id%1000)
		time.Sleep(50 * time.Millisecond)
	}
}
