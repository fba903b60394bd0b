package packer

import (
	_ "embed" // the template's text
	"fmt"
	"strings"
	"text/template"
)

//go:embed images.pkr.hcl.tmpl
var templateText string

// Template returns the Packer template that bakes an image of each role, as init writes it and the examples show it.
func Template(roles []string) (string, error) {
	parsed, err := template.New("images.pkr.hcl").Parse(templateText)
	if err != nil {
		return "", fmt.Errorf("packer template: %w", err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, roles); err != nil {
		return "", fmt.Errorf("packer template: %w", err)
	}
	return b.String(), nil
}

// SourceOf is the template's source that bakes a role.
func SourceOf(role string) string { return "cincbake-rootfs." + role }
