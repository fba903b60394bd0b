package pgbackrest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// queueMax is how much of the log waits for a repository that does not answer. Beyond it the archive has a gap, which the
// next backup ends; without it the disk would fill, and the cluster stop for want of a copy.
const queueMax = "4GiB"

// configuration is pgbackrest.conf for the machine. It holds the repository's passphrase and its key.
func configuration(in role.Inputs, db Database) ([]byte, error) {
	if in.Secrets.Backup == nil {
		return nil, fmt.Errorf("%s has no secrets of the backup repository", in.Self.Name)
	}
	global, err := repository(*in.Cluster.Backup, *in.Secrets.Backup)
	if err != nil {
		return nil, err
	}
	global = append(global, [][2]string{
		{"repo1-cipher-type", "aes-256-cbc"},
		{"repo1-cipher-pass", in.Secrets.Backup.Cipher.Reveal()},
		{"repo1-retention-full", fmt.Sprint(in.Cluster.Backup.Full)},
		{"archive-push-queue-max", queueMax},
		{"compress-type", "zst"},
		{"start-fast", "y"},           // begin with a checkpoint of its own
		{"log-level-console", "warn"}, // the archive runs every minute
		{"log-level-file", "off"},     // the journal keeps it
		{"lock-path", db.SocketDir},
	}...)
	stanza := [][2]string{
		{"pg1-path", db.Dir},
		{"pg1-port", fmt.Sprint(cluster.PortPostgres)},
		{"pg1-socket-path", db.SocketDir},
		{"pg1-user", db.User},
	}
	var b strings.Builder
	section(&b, "global", global)
	b.WriteString("\n")
	section(&b, in.Cluster.Name, stanza)
	return []byte(b.String()), nil
}

func section(b *strings.Builder, name string, options [][2]string) {
	fmt.Fprintf(b, "[%s]\n", name)
	for _, option := range options {
		fmt.Fprintf(b, "%s=%s\n", option[0], option[1])
	}
}

// repository says where the copies lie and how to get in.
func repository(backup cluster.Backup, open secrets.Backup) ([][2]string, error) {
	switch {
	case backup.S3 != nil:
		return s3(*backup.S3, open), nil
	case backup.SFTP != nil:
		return [][2]string{
			{"repo1-type", "sftp"},
			{"repo1-path", backup.SFTP.Path},
			{"repo1-sftp-host", backup.SFTP.Host},
			{"repo1-sftp-host-user", backup.SFTP.User},
			{"repo1-sftp-host-key-check-type", "fingerprint"},
			{"repo1-sftp-host-key-hash-type", "sha256"},
			{"repo1-sftp-host-fingerprint", backup.SFTP.HostKey},
			{"repo1-sftp-private-key-file", sftpKeyFile},
		}, nil
	case backup.Path != "":
		return [][2]string{{"repo1-path", backup.Path}}, nil
	}
	return nil, errors.New("the backup names no repository")
}

func s3(bucket cluster.BackupS3, open secrets.Backup) [][2]string {
	options := [][2]string{
		{"repo1-type", "s3"},
		{"repo1-path", bucket.Prefix},
		{"repo1-s3-bucket", bucket.Bucket},
		{"repo1-s3-region", bucket.Region},
		{"repo1-s3-endpoint", bucket.Endpoint},
	}
	if !strings.HasSuffix(bucket.Endpoint, ".amazonaws.com") {
		options = append(options, [2]string{"repo1-s3-uri-style", "path"}) // other stores seldom have a name for each bucket
	}
	if open.S3KeyID.IsZero() {
		return append(options, [2]string{"repo1-s3-key-type", "auto"}) // the instance's own role
	}
	return append(options,
		[2]string{"repo1-s3-key", open.S3KeyID.Reveal()},
		[2]string{"repo1-s3-key-secret", open.S3KeySecret.Reveal()})
}
