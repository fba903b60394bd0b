// Generate writes the parts of the documentation that are made from the code. It runs in test/docs.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/test/docs"
)

func main() {
	if err := generate("../.."); err != nil {
		log.Fatal(err)
	}
}

func generate(root string) error {
	for _, section := range docs.Sections() {
		path := filepath.Join(root, "docs", section.Page)
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := section.Make(root)
		if err != nil {
			return err
		}
		made, err := section.Splice(string(page), text)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
			return err
		}
	}
	return nil
}
