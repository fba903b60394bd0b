package base

import (
	"testing"

	"github.com/cincbake/cincbake/step"
)

func TestForgetResolver(t *testing.T) {
	const mounted = "36 35 98:0 /resolv.conf /etc/resolv.conf ro,relatime - ext4 /dev/vda rw\n"
	tests := []struct {
		name   string
		mounts string
		left   bool
	}{
		{"a file of its own", "35 1 98:0 / / rw,relatime - ext4 /dev/vda rw\n", false},
		{"the host's, mounted over it", mounted, true},
		{"a system without proc", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Entries["/etc"] = step.Entry{Kind: step.KindDir}
			host.Entries[resolverFile] = step.Entry{Kind: step.KindFile, Content: []byte("nameserver 10.0.0.2\n")}
			if test.mounts != "" {
				host.Entries["/proc/self/mountinfo"] = step.Entry{Kind: step.KindFile, Content: []byte(test.mounts)}
			}
			plan := step.Plan{{Title: "forget", Reason: "test", Action: forgetResolver{}}}
			for range 2 {
				if _, err := plan.Apply(t.Context(), host, nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, left := host.Entries[resolverFile]; left != test.left {
				t.Errorf("left: %v, want %v", left, test.left)
			}
		})
	}
}
