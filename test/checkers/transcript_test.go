//go:build integration

package checkers

import (
	"strings"
	"sync"
)

// transcript keeps what a program prints, and says when that decides whether it took its configuration.
type transcript struct {
	takes, refuses []string
	decided        chan struct{}

	mu   sync.Mutex
	said strings.Builder
	done bool
}

func newTranscript(takes, refuses []string) *transcript {
	return &transcript{takes: takes, refuses: refuses, decided: make(chan struct{})}
}

// Write keeps p.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said.Write(p)
	if !t.done && (holds(t.said.String(), t.takes) != "" || holds(t.said.String(), t.refuses) != "") {
		t.done = true
		close(t.decided)
	}
	return len(p), nil
}

func (t *transcript) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.String()
}

// refused returns what told that the program refused; empty when nothing did.
func (t *transcript) refused() string { return holds(t.text(), t.refuses) }

// holds returns the first of the words that text holds.
func holds(text string, words []string) string {
	for _, word := range words {
		if strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// lastLines is the end of what a program printed.
func lastLines(text string) string {
	const most = 25
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return "    | " + strings.Join(lines[max(0, len(lines)-most):], "\n    | ")
}
