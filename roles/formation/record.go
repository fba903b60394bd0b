// Package formation is what etcd and OpenSearch have in common when their clusters are formed: a record beside the data of
// what this machine took part in, and the rule that a first formation is unanimous.
package formation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

// Record is what a member remembers about its cluster, outside the program's own data: that can't be asked before it runs.
type Record struct {
	Incarnation string            `json:"incarnation"`
	Formation   cluster.Formation `json:"formation"`
	Token       string            `json:"token,omitempty"`
	ClusterID   string            `json:"clusterId,omitempty"`
	MemberID    string            `json:"memberId,omitempty"`
	// Asked tells that this machine asked a quorum to add it, which may have been done though no answer came.
	Asked bool `json:"asked,omitempty"`
}

// Dir is a directory that holds a member's data and its record, so that both are set aside, replaced or kept as one.
type Dir string

// file is where the record lies.
func (d Dir) file() string { return string(d) + "/formation.json" }

// Prepare returns the record on the disk, or begins one: an incarnation of its own for a directory that holds nothing.
func (d Dir) Prepare(files step.Files) (Record, error) {
	record, err := d.Read(files)
	if !errors.Is(err, fs.ErrNotExist) {
		return record, err
	}
	record = Record{Incarnation: rand.Text(), Formation: cluster.FormationEmpty}
	return record, d.Write(files, record)
}

// Read returns the record on the disk; fs.ErrNotExist when there is none.
func (d Dir) Read(files step.Files) (Record, error) {
	entry, err := files.Read(d.file())
	if err != nil {
		return Record{}, err
	}
	var record Record
	if err := json.Unmarshal(entry.Content, &record); err != nil {
		return Record{}, fmt.Errorf("%s: %w", d.file(), err)
	}
	if record.Incarnation == "" || record.Formation == "" {
		return Record{}, fmt.Errorf("%s: incomplete record", d.file())
	}
	return record, nil
}

// Write puts the record on the disk. It is root's, and so is its directory: the program that the data belongs to never
// writes it.
func (d Dir) Write(files step.Files, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := files.Put(string(d), step.Entry{Kind: step.KindDir, Mode: 0o711, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	return files.Put(d.file(), step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root", Content: append(text, '\n')})
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

// Token names a formation by everyone who takes part in it: a replaced machine has another incarnation, so it can't slip
// into a formation that it was not asked about.
func Token(clusterName string, incarnations map[string]string) string {
	var rows []string
	for node, incarnation := range incarnations {
		rows = append(rows, node+"="+incarnation)
	}
	slices.Sort(rows)
	sum := sha256.Sum256([]byte(clusterName + "\n" + strings.Join(rows, "\n")))
	return clusterName + "-" + hex.EncodeToString(sum[:8])
}
