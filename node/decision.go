package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// decisionFile keeps how this machine joined, as far as its files go on saying so. It is gone with the boot.
const decisionFile = "/run/cincbake/decision.json"

// joined is that part of a decision: what was to be done once is done.
type joined struct {
	Row    string         `json:"row"`
	Reason string         `json:"reason"`
	Etcd   role.EtcdStart `json:"etcd"`
}

// keepDecision writes down how the machine joined, once its plan is applied.
func keepDecision(files step.Files, d role.Decision) error {
	d.Etcd.SetAside, d.Etcd.Rescue = false, false
	text, err := json.Marshal(joined{d.Row, d.Reason, d.Etcd})
	if err != nil {
		return err
	}
	return files.Put(decisionFile, step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: append(text, '\n')})
}

// keptDecision returns the decision of a machine that is through.
func keptDecision(files step.Files) (role.Decision, error) {
	text, err := read(files, decisionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return role.Decision{}, errors.New("how this machine joined is not written down; its next boot does so")
	}
	var kept joined
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		return role.Decision{}, fmt.Errorf("%s: %w", decisionFile, err)
	}
	return role.Decision{Verdict: role.Proceed, Row: kept.Row, Reason: kept.Reason, Etcd: kept.Etcd}, nil
}
