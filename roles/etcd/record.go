package etcd

import (
	"errors"
	"io/fs"

	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Where a member keeps its state: its data, and beside it the record of the cluster that it belongs to.
const (
	Dir        = role.DataDir + "/etcd"
	StoreDir   = Dir + "/store"
	RecordFile = Dir + "/formation.json"

	// Home is Dir as the place of the record.
	Home = formation.Dir(Dir)
)

// hasLog tells whether etcd's data directory holds a write-ahead log.
func hasLog(files step.Files) (bool, error) {
	names, err := files.List(StoreDir + "/member/wal")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(names) > 0, err
}
