package main

import "testing"

func TestPackerVersion(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.3":        "1.2.3",
		"1.2.3":         "1.2.3",
		"v1.2.3-4-gabc": next,
		"v1.2.3-rc1":    next,
		"14e98f9-dirty": next,
		"dev":           next,
		"v1.2":          next,
	} {
		if got := packerVersion(described).String(); got != want {
			t.Errorf("%s is %s to Packer, want %s", described, got, want)
		}
	}
}
