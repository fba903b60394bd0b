package opensearch

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Where a search node keeps its state: the index, and beside it the record of the cluster that it belongs to. The index is
// OpenSearch's own; the record and the directory of both are root's.
const (
	Dir        = role.DataDir + "/opensearch"
	StoreDir   = Dir + "/store"
	RecordFile = Dir + "/formation.json"

	// Home is Dir as the place of the record.
	Home = formation.Dir(Dir)
)

// hasData tells whether OpenSearch ever wrote to the disk. What lies beside the record and is not known counts too: it may be an
// index.
func hasData(files step.Files) (bool, error) {
	for dir, known := range map[string]map[string]bool{
		StoreDir: nil,
		Dir:      {"store": true, "formation.json": true, "rescue-ordered": true},
	} {
		names, err := files.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, name := range names {
			// A file that was being written at a power loss bears the name of what it was to become.
			whole, _, _ := strings.Cut(name, ".cincbake-")
			if !known[whole] {
				return true, nil
			}
		}
	}
	return false, nil
}

// Observe tells what the record says, and begins one on a machine that has none.
func (Role) Observe(files step.Files, self cluster.Node) (cluster.Observation, error) {
	record, err := Home.Prepare(files)
	if err != nil {
		return cluster.Observation{}, err
	}
	data, err := hasData(files)
	return record.Observation(self, data), err
}
