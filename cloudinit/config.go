package cloudinit

import "github.com/cincbake/cincbake/cluster"

// AdminUser is the account that cluster.Access lets in by ssh: no password, sudo without one.
const AdminUser = "ops"

// cloudConfig is the one cloud-config part of a seed. One, because cloud-init lets the lists of a later part replace
// those of an earlier one. It runs no command: what a machine does at boot is the agent's.
type cloudConfig struct {
	Hostname text `yaml:"hostname"`
	// PreserveHostname false: a machine that is made anew from the same disk takes its new name.
	PreserveHostname bool `yaml:"preserve_hostname"`
	// ManageEtcHosts localhost keeps the one line that resolves the own name, and leaves the others to the agent.
	ManageEtcHosts text `yaml:"manage_etc_hosts"`
	// Locale false: generating one fails where the image has no locales package.
	Locale         bool   `yaml:"locale"`
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
	Sudo              []text `yaml:"sudo"`
	SSHAuthorizedKeys []text `yaml:"ssh_authorized_keys"`
}

// writeFile holds its content as plain text. A NoCloud seed has no size limit that packing would serve, a reader sees
// what the machine gets, and a scanner that looks for private keys finds a seed that has leaked.
type writeFile struct {
	Path        text `yaml:"path"`
	Owner       text `yaml:"owner"`
	Permissions text `yaml:"permissions"`
	Content     text `yaml:"content"`
}

func newCloudConfig(r *cluster.Resolved, node cluster.Node, document, secrets []byte) cloudConfig {
	config := cloudConfig{
		Hostname:       text(node.Name),
		ManageEtcHosts: "localhost",
		DisableRoot:    true,
		SSHGenKeyTypes: []text{"ed25519"},
		Users:          []user{},
		// The secrets come last: where they are, the document is too.
		WriteFiles: []writeFile{
			{Path: DocumentPath, Owner: "root:root", Permissions: "0600", Content: text(document)},
			{Path: SecretsPath, Owner: "root:root", Permissions: "0600", Content: text(secrets)},
		},
	}
	if len(r.Access.SSH) > 0 {
		config.Users = append(config.Users, user{
			Name:              AdminUser,
			Gecos:             text("operators of cluster " + r.Name),
			Shell:             "/bin/bash",
			LockPassword:      true,
			Sudo:              []text{"ALL=(ALL) NOPASSWD:ALL"},
			SSHAuthorizedKeys: texts(r.Access.SSH),
		})
	}
	return config
}

// header makes the file a cloud-config. The comment is for whoever opens it.
const header = "#cloud-config\n# Written by cincbake render. It holds secrets of the machine.\n"

func (c cloudConfig) encode() ([]byte, error) {
	body, err := marshal(c)
	if err != nil {
		return nil, err
	}
	return append([]byte(header), body...), nil
}
