package packer

import (
	"embed" // the templates' text
	"fmt"
	"strings"
	"text/template"
)

// Builder is what makes images, as Packer names the type of a source.
type Builder string

// The builders that there are templates for.
const (
	Rootfs    Builder = "rootfs"
	QEMU      Builder = "qemu"
	AmazonEBS Builder = "amazon-ebs"
)

// Builders lists them.
func Builders() []Builder { return []Builder{Rootfs, QEMU, AmazonEBS} }

//go:embed template/*.tmpl
var templates embed.FS

// File is the template's file within a cluster's folder.
func (b Builder) File() string { return "packer/" + string(b) + ".pkr.hcl" }

// Template returns the Packer template that bakes an image of each role, as init writes it and the examples show it.
func (b Builder) Template(roles []string) (string, error) {
	// HCL has braces of every other kind.
	name := string(b) + ".pkr.hcl.tmpl"
	parsed, err := template.New(name).Delims("[%", "%]").ParseFS(templates, "template/"+name)
	if err != nil {
		return "", fmt.Errorf("packer template: %w", err)
	}
	var text strings.Builder
	if err := parsed.Execute(&text, struct{ Roles []string }{roles}); err != nil {
		return "", fmt.Errorf("packer template: %w", err)
	}
	return text.String(), nil
}

// SourceOf is the template's source that bakes a role.
func (b Builder) SourceOf(role string) string {
	if b == Rootfs {
		return "cincbake-rootfs." + role
	}
	return string(b) + "." + role
}

// Plugin is a plugin that a template requires.
type Plugin struct {
	Source string // its address
	// Install is how a user gets it.
	Install string
}

// own is the project's plugin. Its releases can be installed by address once they are published; a checkout builds it.
var own = Plugin{Source, "packer plugins install --path packer-plugin-cincbake " + Source}

// Plugins are those that the builder's template requires.
func (b Builder) Plugins() []Plugin {
	hashicorp := func(name, version string) Plugin {
		source := "github.com/hashicorp/" + name
		return Plugin{source, "packer plugins install " + source + " " + version}
	}
	switch b {
	case QEMU:
		return []Plugin{own, hashicorp("qemu", "1.0.9")}
	case AmazonEBS:
		return []Plugin{own, hashicorp("amazon", "1.3.4")}
	}
	return []Plugin{own}
}
