//go:build integration

package browser

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/cincbake/cincbake/lab/drill"
)

// report saves the drill's fixed report and returns its page's address.
func report(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../lab/drill/testdata/" + drill.FileJSON)
	if err != nil {
		t.Fatal(err)
	}
	var outcome drill.Outcome
	if err := json.Unmarshal(text, &outcome); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := outcome.Save(folder); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.Join(folder, drill.FileHTML)}).String()
}

// A strike of a drill's report opens by a click and by the keyboard, and shows what clients noticed. The page asks for nothing
// but itself, and is as readable in the dark.
func TestReportOpensAStrike(t *testing.T) {
	address := report(t)
	ctx, w := browse(t)
	const strike, other = `#strike-2`, `#strike-1`
	var (
		before, opened, byKey, fits bool
		text                        string
		bars, light, dark           string
		lanes                       int
	)
	const color = `getComputedStyle(document.documentElement).backgroundColor`
	err := chromedp.Run(ctx,
		chromedp.Navigate(address),
		chromedp.WaitVisible(`#summary`, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("`+strike+` svg").checkVisibility()`, &before),
		chromedp.Click(strike+` > summary`, chromedp.ByQuery),
		chromedp.WaitVisible(strike+` svg`, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("`+strike+`").open`, &opened),
		chromedp.Text(strike+` .inside`, &text, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelectorAll("`+strike+` svg path").length`, &lanes),
		chromedp.Evaluate(`getComputedStyle(document.querySelector("`+strike+` svg path")).fill`, &bars),
		chromedp.Focus(other+` > summary`, chromedp.ByQuery),
		chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible(other+` svg`, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("`+other+`").open`, &byKey),
		chromedp.Evaluate(`document.documentElement.scrollWidth <= document.documentElement.clientWidth`, &fits),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}),
		chromedp.Evaluate(color, &light),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Evaluate(color, &dark),
	)
	if err != nil {
		t.Fatal(err)
	}
	if before || !opened || !byKey || !fits {
		t.Errorf("shown before it was opened: %v; opens by click: %v, by keyboard: %v; fits the window: %v", before, opened, byKey, fits)
	}
	if lanes != 3 || bars == "rgb(0, 0, 0)" || bars == "" {
		t.Errorf("the timeline has %d lanes, the first one drawn in %q: its style is not in force", lanes, bars)
	}
	for _, want := range []string{"0.0 s: struck: power-off of postgres-2", "11.7 s: service back", "28.8 s: whole", "3 of 6624 acknowledged writes are lost", "Chef write"} {
		if !strings.Contains(text, want) {
			t.Errorf("the strike does not show %q:\n%s", want, text)
		}
	}
	if light == dark {
		t.Errorf("by day and by night the page is %s", light)
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
