// Command generate writes the plugin's pages to .web-docs. It runs in plugin/docs.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/plugin/docs"
)

func main() {
	if err := generate(".."); err != nil {
		fmt.Fprintln(os.Stderr, "plugin/docs:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func generate(plugin string) error {
	pages, err := docs.Pages(os.DirFS(plugin))
	if err != nil {
		return err
	}
	target := filepath.Join(plugin, ".web-docs")
	if err := os.RemoveAll(target); err != nil { // pages of components that are gone
		return err
	}
	for name, page := range pages {
		path := filepath.Join(target, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			return err
		}
	}
	return nil
}
