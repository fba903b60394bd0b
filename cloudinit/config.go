package cloudinit

import "github.com/cincbake/cincbake/cluster"

// AdminUser is the account that cluster.Access lets in by ssh: no password, sudo without one.
const AdminUser = "ops"

// cloudConfig is the one cloud-config part of a seed. One, because cloud-init lets the lists of a later part replace
// those of an earlier one. It runs no command: what a machine does at boot is the agent's.
type cloudConfig struct {
	// Hostname is left out for a group's machines: they share their user data, and the platform names each.
	Hostname text `yaml:"hostname,omitempty"`
	// PreserveHostname false: a machine that is made anew from the same disk takes its new name.
	PreserveHostname bool `yaml:"preserve_hostname"`
	// ManageEtcHosts localhost keeps the one line that resolves the own name, and leaves the others to the agent.
	ManageEtcHosts text   `yaml:"manage_etc_hosts"`
	SSHPasswords   bool   `yaml:"ssh_pwauth"`
	DisableRoot    bool   `yaml:"disable_root"`
	SSHGenKeyTypes []text `yaml:"ssh_genkeytypes"`
	// Users is written even when it is empty, or cloud-init would make the distribution's default user.
	Users      []user      `yaml:"users"`
	WriteFiles []writeFile `yaml:"write_files"`
}

type user struct {
	Name              text   `yaml:"name"`
	Gecos             text   `yaml:"gecos"`
	Shell             text   `yaml:"shell"`
	LockPassword      bool   `yaml:"lock_passwd"`
	Sudo              text   `yaml:"sudo"` // one rule; cloud-init 22.4 knows no list here
	SSHAuthorizedKeys []text `yaml:"ssh_authorized_keys"`
}

// writeFile holds its content as plain text: a reader sees what the machine gets, and a scanner that looks for private keys
// finds a seed that has leaked. A NoCloud seed has no size limit, and user data is packed as a whole.
type writeFile struct {
	Path        text `yaml:"path"`
	Owner       text `yaml:"owner"`
	Permissions text `yaml:"permissions"`
	Content     text `yaml:"content"`
}

func newCloudConfig(r *cluster.Resolved, node cluster.Node, files ...writeFile) cloudConfig {
	config := cloudConfig{
		ManageEtcHosts: "localhost",
		DisableRoot:    true,
		SSHGenKeyTypes: []text{"ed25519"},
		Users:          []user{},
		WriteFiles:     files,
	}
	if node.Slot > 0 {
		config.Hostname = text(node.Name)
	}
	if len(r.Access.SSH) > 0 {
		config.Users = append(config.Users, user{
			Name:              AdminUser,
			Gecos:             text("operators of cluster " + r.Name),
			Shell:             "/bin/bash",
			LockPassword:      true,
			Sudo:              "ALL=(ALL) NOPASSWD:ALL",
			SSHAuthorizedKeys: texts(r.Access.SSH),
		})
	}
	return config
}

// private is a file that only root may read.
func private(path string, content []byte) writeFile {
	return writeFile{Path: text(path), Owner: "root:root", Permissions: "0600", Content: text(content)}
}

// header makes a file a cloud-config. The comment is for whoever opens it.
const header = "#cloud-config\n# Written by cincbake render. "

func (c cloudConfig) encode(remark string) ([]byte, error) {
	body, err := marshal(c)
	if err != nil {
		return nil, err
	}
	return append([]byte(header+remark+"\n"), body...), nil
}
