package cloudinit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/klauspost/compress/gzip"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// UserData is what a launch template hands to each machine that is made from it. It holds no secret: whoever may describe
// the template, and every process on the machine, can read it.
type UserData struct {
	Node       string // the node, or the group whose machines all get this
	Role       cluster.Role
	InstanceID string // what the machine's document makes of it; the platform has its own
	Text       []byte // as cloud-init reads it
	Data       []byte // as the platform gets it, before base64: Text, or its gzip form where that is smaller
	limit      Limit
}

// RenderUserData makes the user data of a node, or of a group of nodes, of a cluster that starts from launch templates: the same bytes for
// the same cluster and node. More than the platform takes is exit.Invalid, and the error says what takes the room.
func RenderUserData(r *cluster.Resolved, node cluster.Node) (UserData, error) {
	data, err := renderUserData(r, node)
	if err != nil {
		return UserData{}, fmt.Errorf("user data of %s: %w", node.Name, err)
	}
	return data, nil
}

func renderUserData(r *cluster.Resolved, node cluster.Node) (UserData, error) {
	limit, ok := limitOf(r.Platform)
	if !ok {
		return UserData{}, exit.Errorf(exit.Invalid, "machines of cluster %s start %s, where nothing hands them user data: render a seed as dir or iso", r.Name, r.Platform)
	}
	document, err := NewDocument(r, node)
	if err != nil {
		return UserData{}, err
	}
	store := SecretStoreOf(r, node)
	document.SecretStore = &store
	id, encoded, err := document.encode()
	if err != nil {
		return UserData{}, err
	}
	text, err := newCloudConfig(r, node, private(DocumentPath, encoded)).encode("It holds no secret.")
	if err != nil {
		return UserData{}, err
	}
	u := UserData{Node: node.Name, Role: node.Role, InstanceID: id, Text: text, Data: text, limit: limit}
	if packed := newPacker().pack(text); len(packed) < len(text) {
		u.Data = packed
	}
	if limit.size(u.Data) > limit.Bytes {
		return UserData{}, u.Budget().exceeded()
	}
	return u, nil
}

// Gzip tells whether Data is in its gzip form.
func (u UserData) Gzip() bool { return len(u.Data) < len(u.Text) }

// packer makes gzip forms, without a date or a name in them. The library is one whose version go.mod holds, so that the same data gives
// the same bytes with every release of Go.
type packer struct{ w *gzip.Writer }

func newPacker() packer {
	w, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil { // the level is a valid one
		panic(err)
	}
	return packer{w}
}

func (p packer) pack(data []byte) []byte {
	var out bytes.Buffer
	p.w.Reset(&out)
	_, err := p.w.Write(data)
	if err := errors.Join(err, p.w.Close()); err != nil { // memory takes everything
		panic(err)
	}
	return out.Bytes()
}
