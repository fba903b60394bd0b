package etcd

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Where a member keeps its state. The record lies beside the data, so that both are set aside, replaced or kept as one.
const (
	Dir        = role.DataDir + "/etcd"
	StoreDir   = Dir + "/store"
	RecordFile = Dir + "/formation.json"
)

// Record is what a member remembers about its cluster, outside etcd's own data: etcd can't be asked before it runs.
type Record struct {
	Incarnation string            `json:"incarnation"`
	Formation   cluster.Formation `json:"formation"`
	Token       string            `json:"token,omitempty"`
	ClusterID   string            `json:"clusterId,omitempty"`
	MemberID    string            `json:"memberId,omitempty"`
}

// Prepare returns the record on the disk, or begins one: an incarnation of its own for a directory that holds nothing.
func Prepare(files step.Files) (Record, error) {
	record, err := ReadRecord(files)
	if !errors.Is(err, fs.ErrNotExist) {
		return record, err
	}
	record = Record{Incarnation: rand.Text(), Formation: cluster.FormationEmpty}
	return record, record.Write(files)
}

// ReadRecord returns the record on the disk; fs.ErrNotExist when there is none.
func ReadRecord(files step.Files) (Record, error) {
	entry, err := files.Read(RecordFile)
	if err != nil {
		return Record{}, err
	}
	var record Record
	if err := json.Unmarshal(entry.Content, &record); err != nil {
		return Record{}, fmt.Errorf("%s: %w", RecordFile, err)
	}
	if record.Incarnation == "" || record.Formation == "" {
		return Record{}, fmt.Errorf("%s: incomplete record", RecordFile)
	}
	return record, nil
}

// Write puts the record on the disk. Its directory is etcd's, the record is root's: etcd never writes it.
func (r Record) Write(files step.Files) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := files.Put(Dir, step.Entry{Kind: step.KindDir, Mode: 0o711, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	return files.Put(RecordFile, step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root", Content: append(text, '\n')})
}

// Observation is what the record says to peers. A disk that holds something else beside an empty record is not empty.
func (r Record) Observation(self cluster.Node, otherData bool) cluster.Observation {
	formation := r.Formation
	if formation == cluster.FormationEmpty && otherData {
		formation = cluster.FormationUnknown
	}
	return cluster.Observation{
		Node: self.Name, Role: self.Role, Incarnation: r.Incarnation, Formation: formation,
		Token: r.Token, ClusterID: r.ClusterID, MemberID: r.MemberID,
	}
}

// hasLog tells whether etcd's data directory holds a write-ahead log.
func hasLog(files step.Files) (bool, error) {
	names, err := files.List(StoreDir + "/member/wal")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(names) > 0, err
}
