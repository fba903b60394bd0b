package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPagesSayWhatTheCodeSays makes every part anew that is made from the code.
func TestPagesSayWhatTheCodeSays(t *testing.T) {
	const root = "../.."
	for _, section := range Sections() {
		t.Run(section.Page+"/"+section.Name, func(t *testing.T) {
			page, err := os.ReadFile(filepath.Join(root, "docs", section.Page))
			if err != nil {
				t.Fatal(err)
			}
			text, err := section.Make(root)
			if err != nil {
				t.Fatal(err)
			}
			made, err := section.Splice(string(page), text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made, string(page)); diff != "" {
				t.Errorf("run make generate, and look at what it changed (-code +docs/%s):\n%s", section.Page, diff)
			}
		})
	}
}
