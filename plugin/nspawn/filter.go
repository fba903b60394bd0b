package nspawn

import (
	"bytes"
	"io"
	"sync"
)

// harmless begins the one line that nspawn writes about itself when it has no terminal; it would follow every command.
const harmless = "Attempted to remove disk file system under "

// filter passes lines on, except that one.
type filter struct {
	mu   sync.Mutex
	to   io.Writer // nil: nobody listens
	rest []byte
}

// Write takes the next piece. It never fails: a listener that went away must not end the command.
func (f *filter) Write(piece []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest = append(f.rest, piece...)
	for {
		end := bytes.IndexByte(f.rest, '\n')
		if end < 0 {
			return len(piece), nil
		}
		f.pass(f.rest[:end+1])
		f.rest = f.rest[end+1:]
	}
}

// flush passes on a last line without its end.
func (f *filter) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pass(f.rest)
	f.rest = nil
}

func (f *filter) pass(line []byte) {
	if f.to != nil && len(line) > 0 && !bytes.HasPrefix(line, []byte(harmless)) {
		_, _ = f.to.Write(line)
	}
}
