package roles_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// A database node of a cluster with an API tier and backups: in a bucket, and begun from an account on another machine.
func TestBackupGolden(t *testing.T) {
	for name, backup := range map[string]cluster.Backup{
		"backup-s3": {Full: 4, S3: &cluster.BackupS3{
			Bucket: "chef-backups", Region: "eu-west-1", Endpoint: "s3.eu-west-1.amazonaws.com", Prefix: "/prod",
		}},
		"backup-sftp": {
			Full: 2, SFTP: &cluster.BackupSFTP{Host: "backup.example.com", User: "cinc", Path: "/srv/cinc", HostKey: strings.Repeat("0a", 32)},
			Restore: &cluster.Restore{Time: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			top := topologies()[0]
			in := inputs(top, top.nodes[0])
			in.Cluster.API = &cluster.API{Min: 2, Max: 10}
			in.Cluster.Postgres.MaxConnections = 850
			in.Cluster.Backup = &backup
			in.Secrets.Backup = &secrets.Backup{Cipher: fake("cipher"), S3KeyID: fake("s3-id"), S3KeySecret: fake("s3-secret"), SFTPKey: fake("SFTP-KEY\n")}
			plan, err := postgres.Role{}.Boot(in)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/boot/"+name+"/postgres-1.steps", plan.Describe())
			golden.Compare(t, "testdata/boot/"+name+"/postgres-1.files", files(t, plan))
			for _, s := range plan {
				if file, ok := s.Action.(step.File); ok && holdsSecret(string(file.Content)) && file.Mode&0o077 != 0 {
					t.Errorf("%s holds a secret and has mode %04o", file.Path, file.Mode)
				}
			}
		})
	}
}
