package moto

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// createImage makes an image without tags of the snapshot.
func createImage(e *exchange) (reply, error) {
	values, kept := url.Values{}, 0
	for name, value := range e.call.Params {
		if !strings.HasPrefix(name, "TagSpecification.") {
			values[name] = value
		}
	}
	for n := 1; ; n++ {
		prefix := fmt.Sprintf("TagSpecification.%d.", n)
		kind := e.call.Params.Get(prefix + "ResourceType")
		if kind == "" {
			return e.send(e.proxy.behind.String(), []byte(values.Encode()))
		}
		if kind == "snapshot" {
			continue
		}
		kept++
		for name, value := range e.call.Params {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				values[fmt.Sprintf("TagSpecification.%d.%s", kept, rest)] = value
			}
		}
	}
}

// tagCopy gives a copy and its snapshots the tags that the call had for them, if they have none.
func tagCopy(e *exchange, r reply) (reply, bool, error) {
	if r.status >= 300 {
		return r, false, nil
	}
	made, err := parse(r.body)
	if err != nil {
		return r, false, err
	}
	id := made.text("imageId")
	described, err := e.also("DescribeImages", url.Values{"ImageId.1": {id}})
	if err != nil {
		return r, false, err
	}
	if len(described.find("imagesSet/item/tagSet/item")) > 0 || len(e.call.Tags("image")) == 0 {
		return r, false, nil
	}
	snapshots := []string{}
	for _, snapshot := range described.find("imagesSet/item/blockDeviceMapping/item/ebs/snapshotId") {
		snapshots = append(snapshots, strings.TrimSpace(snapshot.Text))
	}
	for kind, ids := range map[string][]string{"image": {id}, "snapshot": snapshots} {
		if err := e.tag(ids, e.call.Tags(kind)); err != nil {
			return r, false, err
		}
	}
	return r, true, nil
}

func (e *exchange) tag(ids []string, tags map[string]string) error {
	if len(ids) == 0 || len(tags) == 0 {
		return nil
	}
	values := url.Values{}
	for n, id := range ids {
		values.Set(fmt.Sprintf("ResourceId.%d", n+1), id)
	}
	n := 0
	for key, value := range tags {
		n++
		values.Set(fmt.Sprintf("Tag.%d.Key", n), key)
		values.Set(fmt.Sprintf("Tag.%d.Value", n), value)
	}
	_, err := e.also("CreateTags", values)
	return err
}

func deprecate(e *exchange) (reply, error) {
	e.proxy.note(e.call.Params.Get("ImageId"), func(n *imageNotes) { n.deprecated = e.call.Params.Get("DeprecateAt") })
	return e.result("<return>true</return>"), nil
}

// protect says that an image is protected from now on, or is not.
func protect(state string) func(*exchange) (reply, error) {
	return func(e *exchange) (reply, error) {
		e.proxy.note(e.call.Params.Get("ImageId"), func(n *imageNotes) { n.protection = state })
		return e.result("<return>" + state + "</return>"), nil
	}
}

func showImages(e *exchange, r reply) (reply, bool, error) {
	return edit(r, func(root *element) (changed bool) {
		for _, image := range root.find("imagesSet/item") {
			changed = e.proxy.showImage(image) || changed
		}
		return changed
	})
}

// giveSizes gives disks of a template that are to be as large as their image's a size of their own.
func giveSizes(e *exchange) (changed bool) {
	values := maps.Clone(e.call.Params)
	for n := 1; values.Has(fmt.Sprintf("LaunchTemplateData.BlockDeviceMapping.%d.DeviceName", n)); n++ {
		disk := fmt.Sprintf("LaunchTemplateData.BlockDeviceMapping.%d.Ebs.", n)
		if !values.Has(disk+"VolumeSize") && !values.Has(disk+"SnapshotId") {
			values.Set(disk+"VolumeSize", "8")
			changed = true
		}
	}
	if changed {
		e.body = []byte(values.Encode())
	}
	return changed
}

const userData = "LaunchTemplateData.UserData"

// takeUserData takes user data out of a call.
func takeUserData(e *exchange) bool {
	if !e.call.Params.Has(userData) {
		return false
	}
	values := url.Values{}
	for name, value := range e.call.Params {
		if name != userData {
			values[name] = value
		}
	}
	e.body = []byte(values.Encode())
	return true
}

// keepUserData keeps it for the version that was made. The use was counted when it was taken.
func keepUserData(e *exchange, r reply) (reply, bool, error) {
	changed, _, err := edit(r, func(root *element) bool {
		for _, made := range root.find("launchTemplateVersion") {
			e.proxy.mu.Lock()
			e.proxy.kept.userData[versionOf(made)] = e.call.Params.Get(userData)
			e.proxy.mu.Unlock()
		}
		return false
	})
	return changed, false, err
}

func showVersions(e *exchange, r reply) (reply, bool, error) {
	return edit(r, func(root *element) (changed bool) {
		for _, set := range root.find("launchTemplateVersionSet") {
			changed = e.proxy.showVersions(set) || changed
		}
		return changed
	})
}

func deleteVersions(e *exchange) (reply, error) {
	e.proxy.mu.Lock()
	defer e.proxy.mu.Unlock()
	template := e.call.Params.Get("LaunchTemplateId")
	var items []string
	for n := 1; e.call.Params.Has(fmt.Sprintf("LaunchTemplateVersion.%d", n)); n++ {
		number := e.call.Params.Get(fmt.Sprintf("LaunchTemplateVersion.%d", n))
		e.proxy.kept.deleted[version{template, number}] = true
		items = append(items, fmt.Sprintf("<item><launchTemplateId>%s</launchTemplateId><versionNumber>%s</versionNumber></item>", escape(template), escape(number)))
	}
	slices.Sort(items)
	return e.result("<successfullyDeletedLaunchTemplateVersionSet>" + strings.Join(items, "") + "</successfullyDeletedLaunchTemplateVersionSet>"), nil
}
