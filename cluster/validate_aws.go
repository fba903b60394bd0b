package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// regionAt refuses what has not the form of a region.
func (c *checker) regionAt(at, region string) {
	parts := strings.Split(region, "-")
	const fewest = 3
	ok := len(parts) >= fewest && isNumber(parts[len(parts)-1])
	for _, part := range parts[:len(parts)-1] {
		ok = ok && part != "" && madeOf(part, letters)
	}
	if region != "" && !ok {
		c.report(at, show(region)+" is not a region", "write one like eu-west-1")
	}
}

func (c *checker) region() { c.regionAt("region", c.spec.Region) }

// subnetForm holds every subnet to the form of an id.
func (c *checker) subnetForm() {
	refuse := func(at, subnet string) {
		id, ok := strings.CutPrefix(subnet, "subnet-")
		const short, long = 8, 17 // EC2's old and new ids
		if subnet != "" && (!ok || len(id) != short && len(id) != long || !madeOf(id, "0123456789abcdef")) {
			c.report(at, show(subnet)+" is not a subnet's id", "write one like subnet-0a1b2c3d4e5f60718")
		}
	}
	for i, subnet := range c.spec.Network.Subnets {
		refuse(index("network.subnets", i), subnet)
	}
}

// subnetCount keeps a cluster that shall survive a zone in two.
func (c *checker) subnetCount() {
	const at = "network.subnets"
	subnets := c.spec.Network.Subnets
	if c.spec.Platform != AWS || subnets == nil || c.broken[at] {
		return
	}
	switch {
	case len(subnets) == 0:
		c.report(at, "there is no subnet", "list two in different zones")
	case len(subnets) == 1 && c.pool():
		c.report(at, "one subnet is one zone, and the cluster would go with it", "list two in different zones")
	}
}

// subnetKnown holds the slots' subnets against the network's.
func (c *checker) subnetKnown() {
	subnets := c.spec.Network.Subnets
	if c.broken["network.subnets"] || len(subnets) == 0 {
		return
	}
	for _, m := range c.spec.machines() {
		if m.Subnet != "" && m.path != "api" && !slices.Contains(subnets, m.Subnet) {
			c.report(join(m.path, "subnet"), show(m.Subnet)+" is not in network.subnets", "list it there, or use one of: "+showAll(subnets))
		}
	}
}

// showAll repeats a few of a user's values.
func showAll(values []string) string {
	const most = 3
	var shown []string
	for _, value := range values[:min(most, len(values))] {
		shown = append(shown, show(value))
	}
	if len(values) > most {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// subnetSpread keeps a majority of voters and of search nodes from going with one zone.
func (c *checker) subnetSpread() {
	if c.spec.Platform != AWS {
		return
	}
	for _, tier := range []struct {
		path  string
		roles []Role
	}{{"postgres.nodes", []Role{RolePostgres}}, {"opensearch.nodes", []Role{RoleOpenSearch}}} {
		used := map[string]bool{}
		var nodes int
		for _, m := range c.spec.machines() {
			if slices.Contains(tier.roles, m.role) {
				used[m.Subnet] = true
				nodes++
			}
		}
		if nodes > 1 && len(used) == 1 && !used[""] {
			c.report(tier.path, "every machine is in one subnet, and they would go with its zone together", "put them into different subnets")
		}
	}
}

// instanceTypes calls visit for every type of instance that the spec names.
func (c *checker) instanceTypes(visit func(at, instanceType string)) {
	if c.spec.Platform != AWS {
		return
	}
	c.spec.walk(func(k key) bool {
		if k.field.Tag.Get("yaml") == "instanceType" && k.value.String() != "" {
			visit(k.path, k.value.String())
		}
		return true
	})
}

func (c *checker) instanceTypeForm() {
	c.instanceTypes(func(at, instanceType string) {
		if !isInstanceType(instanceType) {
			c.report(at, show(instanceType)+" is not an instance type", "write one like m6i.xlarge")
		}
	})
}

func isInstanceType(text string) bool {
	family, size, ok := strings.Cut(text, ".")
	return ok && family != "" && size != "" && strings.ContainsAny(family, digits) && strings.Contains(letters, family[:1]) &&
		madeOf(family, letters+digits+"-") && madeOf(size, letters+digits+"-")
}

// instanceTypeRequired: every slot needs one, its own or its tier's.
func (c *checker) instanceTypeRequired() {
	if c.spec.Platform != AWS {
		return
	}
	for _, m := range c.spec.machines() {
		tier := parent(m.path)
		at := join(m.path, "instanceType")
		if m.path != "api" && m.InstanceType == "" && !c.broken[m.path] && !c.broken[at] && !c.broken[join(tier, "instanceType")] {
			c.report(at, "the key is missing", "add it here or to the tier, like instanceType: m6i.large")
		}
	}
}

// volumeRequired: what holds the only copy of something needs a volume that outlives its instance.
func (c *checker) volumeRequired() {
	if c.spec.Platform != AWS {
		return
	}
	for _, m := range c.spec.machines() {
		at := join(m.path, "volume")
		if m.role != RolePostgres && m.role != RoleStandalone || m.Volume.Size != 0 || c.spec.written(at) || c.broken[m.path] || c.spec.written("postgres.volume") {
			continue
		}
		c.report(at, "the key is missing: the database must outlive the root disk, which goes with the image", "add it here or to the tier, like volume: {size: 100}")
	}
}

// volumeForm holds data volumes to what EC2 makes.
func (c *checker) volumeForm() {
	types := []string{"gp3", "gp2"}
	provisioned := []string{"io1", "io2"} // which EC2 does not make without a number of their own, and nothing here says one
	const smallest, largest = 8, 16384    // GiB; gp3's largest
	if c.spec.Platform != AWS {
		return
	}
	c.spec.walk(func(k key) bool {
		volume, ok := k.value.Interface().(VolumeSpec)
		if !ok || volume == (VolumeSpec{}) && !c.spec.written(join(k.path, "size")) {
			return true
		}
		if at := join(k.path, "size"); (volume.Size < smallest || volume.Size > largest) && !c.broken[at] && c.spec.written(at) {
			c.report(at, fmt.Sprintf("%d GiB is no size of a data volume", volume.Size), fmt.Sprintf("write a number from %d to %d", smallest, largest))
		}
		if slices.Contains(provisioned, volume.Type) {
			c.report(join(k.path, "type"), volume.Type+" needs a number of operations per second (IOPS), which the spec does not say", "write gp3, which has 3,000 of them")
		} else if volume.Type != "" && !slices.Contains(types, volume.Type) {
			c.report(join(k.path, "type"), show(volume.Type)+" is not a type of data volume", remedyOneOf(volume.Type, types))
		}
		return true
	})
}

// archOf returns the processor of an instance type in Debian's words: a g among the letters after the generation's number
// is Graviton, as was a1. Empty: the text is no instance type.
func archOf(instanceType string) string {
	if !isInstanceType(instanceType) {
		return ""
	}
	family, _, _ := strings.Cut(instanceType, ".")
	attributes := strings.TrimLeft(strings.TrimLeft(family, letters), digits)
	if strings.Contains(attributes, "g") || family == "a1" {
		return "arm64"
	}
	return "amd64"
}

// instanceArch holds the other machines' types to the images: API nodes have a rule of their own.
func (c *checker) instanceArch() {
	os, err := OSFor(c.spec.Image.OS)
	if err != nil {
		return
	}
	arch := c.spec.Image.Arch
	if arch == "" {
		arch = os.Arches[0]
	}
	c.instanceTypes(func(at, instanceType string) {
		if is := archOf(instanceType); at != "api.instanceType" && os.Supports(arch) && is != "" && is != arch {
			c.report(at, fmt.Sprintf("%s is a machine of %s, and the images are for %s", show(instanceType), is, arch), "use a type of "+arch+", like m6i.large")
		}
	})
}

// instanceMemory refuses sizes that are known to be too small for Cinc Server, whose documentation asks for 4 GiB: no family
// has that much in one of them.
func (c *checker) instanceMemory() {
	if !c.has("api") || c.spec.Platform != AWS || !isInstanceType(c.spec.API.InstanceType) {
		return
	}
	_, size, _ := strings.Cut(c.spec.API.InstanceType, ".")
	if slices.Contains([]string{"nano", "micro", "small"}, size) {
		c.report("api.instanceType", show(c.spec.API.InstanceType)+" has less than the 4 GiB of memory that Cinc Server needs", "use a larger size, like m6i.xlarge")
	}
}
