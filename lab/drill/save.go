package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The files of a report.
const (
	FileJSON = "drill.json"
	FileText = "drill.txt"
	FileHTML = "drill.html"
)

// WriteJSON writes the outcome for programs.
func (o Outcome) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(o)
}

// Save writes the report into a folder, in all its forms. Each file is there as a whole or as it was before.
func (o Outcome) Save(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // a report is for reading
		return err
	}
	for _, form := range []struct {
		name  string
		write func(io.Writer) error
	}{{FileJSON, o.WriteJSON}, {FileText, o.WriteText}, {FileHTML, o.WriteHTML}} {
		var b bytes.Buffer
		if err := form.write(&b); err != nil {
			return fmt.Errorf("the report's %s: %w", form.name, err)
		}
		if err := replaceFile(filepath.Join(folder, form.name), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes beside the file and renames.
func replaceFile(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if _, err = file.Write(content); err == nil {
		err = file.Chmod(0o644)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
