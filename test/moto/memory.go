package moto

import "slices"

// memory is what the proxy keeps for the stand-in.
type memory struct {
	images    map[string]imageNotes
	deleted   map[version]bool
	userData  map[version]string
	instances map[string]string    // the version of its group's template, by instance
	refreshes map[string][]refresh // by region and group, the newest first
}

// version is one of a launch template, by the template's id.
type version struct{ template, number string }

// imageNotes are what is said of an image; empty: nothing.
type imageNotes struct{ deprecated, protection string }

// refresh is one that has ended.
type refresh struct{ id, status string }

func newMemory() memory {
	return memory{
		images: map[string]imageNotes{}, deleted: map[version]bool{}, userData: map[version]string{},
		instances: map[string]string{}, refreshes: map[string][]refresh{},
	}
}

// note changes what is said of an image.
func (p *Proxy) note(image string, change func(*imageNotes)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	notes := p.kept.images[image]
	change(&notes)
	p.kept.images[image] = notes
}

// see corrects the versions of a group's instances: one that is new has its group's.
func (p *Proxy) see(groups []*element) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, group := range groups {
		for _, instance := range group.find("Instances/member") {
			id := instance.text("InstanceId")
			if p.kept.instances[id] == "" {
				p.kept.instances[id] = group.text("LaunchTemplate/Version")
			}
			for _, template := range instance.find("LaunchTemplate") {
				if template.text("Version") != p.kept.instances[id] {
					template.set("Version", p.kept.instances[id])
					changed = true
				}
			}
		}
	}
	return changed
}

// showImage adds to an image what is said of it.
func (p *Proxy) showImage(image *element) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	notes, known := p.kept.images[image.text("imageId")]
	for name, text := range map[string]string{"deprecationTime": notes.deprecated, "deregistrationProtection": notes.protection} {
		if text != "" && image.text(name) != text {
			image.set(name, text)
			changed = true
		}
	}
	return known && changed
}

// showVersions takes those from a list that were deleted, and adds user data to the others.
func (p *Proxy) showVersions(set *element) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(set.Parts)
	set.Parts = slices.DeleteFunc(set.Parts, func(item *element) bool { return p.kept.deleted[versionOf(item)] })
	for _, item := range set.Parts {
		data, known := p.kept.userData[versionOf(item)]
		for _, of := range item.find("launchTemplateData") {
			if known && of.text("userData") != data {
				of.set("userData", data)
				changed = true
			}
		}
	}
	return changed || len(set.Parts) != before
}

func versionOf(item *element) version {
	return version{item.text("launchTemplateId"), item.text("versionNumber")}
}
