// Command packer-plugin-cincbake is the Packer plugin: the builder cincbake-rootfs, the provisioner cincbake-role, the
// post-processor cincbake-catalogue, and the data sources cincbake-image and cincbake-recipe.
package main

import (
	"fmt"
	"os"
	"regexp"

	"github.com/hashicorp/packer-plugin-sdk/plugin"
	sdkversion "github.com/hashicorp/packer-plugin-sdk/version"

	"github.com/cincbake/cincbake/plugin/catalogue"
	"github.com/cincbake/cincbake/plugin/datasource/image"
	"github.com/cincbake/cincbake/plugin/datasource/recipe"
	"github.com/cincbake/cincbake/plugin/provision"
	"github.com/cincbake/cincbake/plugin/rootfs"
)

// version is set by the linker, to what git describe says.
var version = "dev"

func main() {
	set := plugin.NewSet()
	set.RegisterBuilder("rootfs", new(rootfs.Builder))
	set.RegisterProvisioner("role", new(provision.Provisioner))
	set.RegisterPostProcessor("catalogue", new(catalogue.PostProcessor))
	set.RegisterDatasource("image", new(image.Datasource))
	set.RegisterDatasource("recipe", new(recipe.Datasource))
	set.SetVersion(packerVersion(version))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "packer-plugin-cincbake:", err)
		os.Exit(1)
	}
}

// next is the release that a build between two releases is a step to, and calls itself: of a version with anything behind
// the numbers, packer init thinks nothing and looks for another on the network. What really runs in an image is in its record.
const next = "0.1.0"

var release = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)$`)

// packerVersion is the version as Packer takes it.
func packerVersion(described string) *sdkversion.PluginVersion {
	if match := release.FindStringSubmatch(described); match != nil {
		return sdkversion.NewPluginVersion(match[1], "", "")
	}
	return sdkversion.NewPluginVersion(next, "", "")
}
