package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/cluster"
)

// board tells a person how far several bakes are. On a terminal it is a line for each role, rewritten in place; elsewhere, as
// in CI, a line for each thing that happens.
type board struct {
	mu    sync.Mutex
	plain *progress // nil on a terminal
	w     io.Writer
	width int
	rows  []*row
	drawn bool
	stop  chan struct{}
	ended sync.WaitGroup
}

// row is how far one role is.
type row struct {
	role, step   string
	began, ended time.Time
}

// elapsed is how long the row's bake has taken; none before it begins.
func (r row) elapsed(now time.Time) string {
	switch {
	case r.began.IsZero():
		return ""
	case !r.ended.IsZero():
		now = r.ended
	}
	return fmt.Sprintf("%.0fs", now.Sub(r.began).Seconds())
}

// refresh is how often the times on a terminal move.
const refresh = time.Second

func newBoard(w io.Writer, roles []cluster.Role) *board {
	if width, ok := terminal(w); ok {
		return drawnBoard(w, width, roles)
	}
	return &board{plain: newProgress(w)}
}

func drawnBoard(w io.Writer, width int, roles []cluster.Role) *board {
	b := &board{w: w, width: width, stop: make(chan struct{})}
	for _, role := range roles {
		b.rows = append(b.rows, &row{role: string(role), step: "waits for its turn"})
	}
	b.draw(time.Now())
	b.ended.Go(func() {
		ticker := time.NewTicker(refresh)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				b.mu.Lock()
				b.draw(now)
				b.mu.Unlock()
			case <-b.stop:
				return
			}
		}
	})
	return b
}

// terminal returns the width of the terminal that w is, if it is one on which lines can be rewritten.
func terminal(w io.Writer) (int, bool) {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("CI") != "" || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 0, false
	}
	return int(size.Col), true
}

// begin tells that a role's bake has its turn.
func (b *board) begin(role string) {
	b.change(role, func(r *row) { r.step, r.began = "begins", time.Now() }, "")
}

// say tells what happens in a role's bake.
func (b *board) say(role, step string) { b.change(role, func(r *row) { r.step = step }, step) }

// end tells how a role's bake ended.
func (b *board) end(role, how string) {
	b.change(role, func(r *row) { r.step, r.ended = how, time.Now() }, how)
}

// change changes a role's row; line is what is said of it where there is no terminal.
func (b *board) change(role string, change func(*row), line string) {
	if b.plain != nil {
		if line != "" {
			b.plain.say(role, line)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rows {
		if r.role == role {
			change(r)
		}
	}
	b.draw(time.Now())
}

// close leaves the board as it is; whatever is printed next comes below it.
func (b *board) close() {
	if b.plain != nil {
		return
	}
	close(b.stop)
	b.ended.Wait()
}

// draw writes all rows over those that are there.
func (b *board) draw(now time.Time) {
	var text strings.Builder
	if b.drawn {
		fmt.Fprintf(&text, "\x1b[%dA", len(b.rows))
	}
	for _, r := range b.rows {
		// One that wraps is two, and the next draw would begin in the middle of them.
		line := []rune(fmt.Sprintf("%6s  %-12s %s", r.elapsed(now), r.role, r.step))
		if len(line) >= b.width {
			line = append(line[:max(b.width-2, 0)], '…')
		}
		fmt.Fprintf(&text, "\r\x1b[2K%s\n", string(line))
	}
	fmt.Fprint(b.w, text.String())
	b.drawn = true
}
