package images

import (
	"os"
	"path/filepath"
)

// The files that lie beside an image and say what it is. They are the same wherever a catalogue is.
const (
	RecordFile   = recordName
	SBOMFile     = sbomName
	ManifestFile = manifestName
)

// Beside reads one of the files that lie beside the image. One that is not there is fs.ErrNotExist.
func (e Entry) Beside(name string) ([]byte, error) { return os.ReadFile(filepath.Join(e.Dir, name)) }

// EntryIn returns the image whose record, and what else lies beside it, is in a folder that is no catalogue: what another
// catalogue keeps, brought here to be looked at. The forms of the image need not be there.
func EntryIn(dir string) (Entry, error) {
	e := Entry{Dir: dir}
	text, err := e.Beside(RecordFile)
	if err != nil {
		return e, err
	}
	if e.Record, err = Decode(text); err != nil {
		return e, err
	}
	e.ID = id(e.Record)
	return e, nil
}
