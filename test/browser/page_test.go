//go:build integration

package browser

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/explain/graph"
)

// page draws the cluster and returns the file's address.
func page(t *testing.T) string {
	t.Helper()
	text, err := cluster.Example(cluster.SelfHosted, cluster.OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := graph.Of(r, explain.Assume{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cluster.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := drawn.HTML(file); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// chromium finds the browser, or ends the test with the line that installs it.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const reason = "there is no Chromium: apt-get install chromium"
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

// profile is a folder for the browser's state. Its helpers write for a moment after it has gone, so removing it takes patience.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cincbake-browser-") //nolint:usetesting // TempDir does not wait
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second) //nolint:usetesting // t's own has ended by now
		defer stop()
		for err := os.RemoveAll(dir); err != nil; err = os.RemoveAll(dir) {
			select {
			case <-ctx.Done():
				t.Errorf("the browser's folder stays: %v", err)
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return dir
}

// watcher keeps what a page asked for and what it complained about.
type watcher struct {
	mu     sync.Mutex
	asked  []string
	errors []string
}

func (w *watcher) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		w.asked = append(w.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		w.errors = append(w.errors, e.ExceptionDetails.Error())
	case *log.EventEntryAdded: // what the content security policy refuses, among others
		w.errors = append(w.errors, e.Entry.Text)
	}
}

// browse opens a browser without a network, and a tab in it.
func browse(t *testing.T) (context.Context, *watcher) {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(profile(t)),
		chromedp.WSURLReadTimeout(time.Minute), // a browser that was installed just now, on a busy host
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("proxy-server", "127.0.0.1:9"), chromedp.WindowSize(1280, 900),
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits until the browser has left its folder
	w := &watcher{}
	chromedp.ListenTarget(ctx, w.hear)
	if err := chromedp.Run(ctx, network.Enable(), log.Enable()); err != nil {
		t.Fatal(err)
	}
	return ctx, w
}

const (
	machine = `button[data-opens="m-postgres-1"]`
	dialog  = `#m-postgres-1`
	patroni = `/etc/patroni/config.yml`
)

// A person clicks a machine and reads its files; another one uses the keyboard. The page asks for nothing but itself.
func TestPageOpensAMachine(t *testing.T) {
	address := page(t)
	ctx, w := browse(t)
	var (
		overview, file, other string
		isOpen, closed        bool
	)
	path := dialog + ` button.path`
	err := chromedp.Run(ctx,
		chromedp.Navigate(address),
		chromedp.Click(machine, chromedp.ByQuery),
		chromedp.WaitVisible(dialog, chromedp.ByQuery),
		chromedp.Text(dialog+` article:not([hidden])`, &overview, chromedp.ByQuery),
		chromedp.Click(`//dialog[@id="m-postgres-1"]//button[.="`+patroni+`"]`, chromedp.BySearch),
		chromedp.Text(dialog+` article:not([hidden])`, &file, chromedp.ByQuery),

		// The close button, then the keyboard alone: open, one file down, another one, and Escape.
		chromedp.Click(dialog+` [data-closes]`, chromedp.ByQuery),
		chromedp.WaitNotVisible(dialog, chromedp.ByQuery),
		chromedp.Focus(machine, chromedp.ByQuery),
		chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible(dialog, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("`+dialog+`").open`, &isOpen),
		chromedp.Focus(path, chromedp.ByQuery),
		chromedp.KeyEvent(kb.ArrowDown),
		chromedp.Text(dialog+` article:not([hidden])`, &other, chromedp.ByQuery),
		chromedp.KeyEvent(kb.Escape),
		chromedp.WaitNotVisible(dialog, chromedp.ByQuery),
		chromedp.Evaluate(`!document.querySelector("`+dialog+`").open`, &closed),
	)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(overview, "5432/tcp") || !strings.Contains(overview, "patroni.service") {
		t.Errorf("the machine opens to no ports and units:\n%s", overview)
	}
	for _, want := range []string{patroni, "scope: prod", "redacted: postgres superuser", "follows from memory"} {
		if !strings.Contains(file, want) {
			t.Errorf("the file does not show %q:\n%s", want, file)
		}
	}
	if !isOpen || !closed || !strings.Contains(other, "/etc/") {
		t.Errorf("by keyboard: open %v, closed %v, second file %q", isOpen, closed, other)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, asked := range w.asked {
		if !strings.HasPrefix(asked, "file://") {
			t.Errorf("the page asked for %s", asked)
		}
	}
	for _, problem := range w.errors {
		t.Errorf("the browser says: %s", problem)
	}
}

// A link that names a machine opens it, and one that names a file shows that.
func TestLinkOpensAMachine(t *testing.T) {
	address := page(t)
	ctx, _ := browse(t)
	var file string
	err := chromedp.Run(ctx,
		chromedp.Navigate(address+"#m-heartbeat-1"),
		chromedp.WaitVisible(`#m-heartbeat-1`, chromedp.ByQuery),
		chromedp.Evaluate(`location.hash = "m-postgres-1/etc/patroni/config.yml"`, nil),
		chromedp.WaitVisible(dialog, chromedp.ByQuery),
		chromedp.WaitNotVisible(`#m-heartbeat-1`, chromedp.ByQuery),
		chromedp.Text(dialog+` article:not([hidden])`, &file, chromedp.ByQuery),
	)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(file, "scope: prod") {
		t.Errorf("the link shows\n%s", file)
	}
}
