package packer

import _ "embed" // the template's text

// Template is the Packer template that bakes every role of a cluster, as init writes it and the examples show it.
//
//go:embed images.pkr.hcl
var Template string

// SourceOf is the template's source that bakes a role.
func SourceOf(role string) string { return "cincbake-rootfs." + role }
