package catalogue

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"strings"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/images"
)

// product is what a builder made: a disk, or AMIs.
type product struct {
	disk string
	amis []images.Artefact
}

// Builders, by the ids of their artifacts.
const (
	builderQemu          = "transcend.qemu"
	builderEBS           = "mitchellh.amazonebs"
	builderEBSSurrogate  = "mitchellh.amazon.ebssurrogate"
	builderAmazonChroot  = "mitchellh.amazon.chroot"
	builderRootfs        = "cincbake.rootfs"
	builderPostProcessor = "cincbake.catalogue"
)

// recognise tells what an artifact is.
func recognise(a packersdk.Artifact) (product, error) {
	switch id := a.BuilderId(); id {
	case builderQemu:
		disk, err := diskOf(a.Files())
		return product{disk: disk}, err
	case builderEBS, builderEBSSurrogate, builderAmazonChroot:
		amis, err := amisOf(a.Id())
		return product{amis: amis}, err
	case builderRootfs, builderPostProcessor:
		return product{}, errors.New("the image is in the catalogue already: the builder cincbake-rootfs adds it; leave the post-processor out, or limit it with only")
	default:
		return product{}, fmt.Errorf("it knows disks of qemu and AMIs of amazon-ebs, and this is an artifact of %q", id)
	}
}

// diskOf returns the one file that is a disk in QEMU's format. The name says nothing, the builder lets users choose it.
func diskOf(files []string) (string, error) {
	var disks []string
	for _, file := range files {
		is, err := isDisk(file)
		if err != nil {
			return "", err
		}
		if is {
			disks = append(disks, file)
		}
	}
	if len(disks) != 1 {
		return "", fmt.Errorf("the builder made %d disks in the format qcow2, and an image is one: set format = \"qcow2\", and no additional disks (files: %s)",
			len(disks), strings.Join(files, ", "))
	}
	return disks[0], nil
}

// header is the beginning of a disk in QEMU's format, all versions of it.
type header struct {
	Magic         [4]byte
	Version       uint32
	BackingOffset uint64
}

func isDisk(name string) (bool, error) {
	file, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var h header
	switch err := binary.Read(file, binary.BigEndian, &h); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // too small for a disk
		return false, nil
	case err != nil:
		return false, err
	case string(h.Magic[:]) != "QFI\xfb":
		return false, nil
	case h.BackingOffset != 0:
		return true, fmt.Errorf("%s holds only what differs from another disk: leave use_backing_file out", name)
	}
	return true, nil
}

// amiForm is one AMI of an artifact of the amazon builders.
var amiForm = regexp.MustCompile(`^([a-z0-9-]+):(ami-[0-9a-f]+)$`)

// amisOf reads the id of an artifact of theirs: region:ami, for each region.
func amisOf(id string) ([]images.Artefact, error) {
	var list []images.Artefact
	for _, one := range strings.Split(id, ",") {
		match := amiForm.FindStringSubmatch(one)
		if match == nil {
			return nil, fmt.Errorf("%q is no list of AMIs like eu-west-1:ami-0123456789abcdef0", id)
		}
		list = append(list, images.Artefact{Kind: images.KindAMI, Region: match[1], ID: match[2]})
	}
	return list, nil
}

// copyDisk copies a disk and reads the copy again. It is no link: a builder's output that is kept may be written to later.
func copyDisk(ctx context.Context, from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // images hold nothing secret
	if err != nil {
		return err
	}
	defer target.Close()
	want, got := sha256.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(target, want), &reader{ctx, source}); err != nil {
		return err
	}
	if err := target.Sync(); err != nil {
		return err
	}
	if _, err := target.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(got, &reader{ctx, target}); err != nil {
		return err
	}
	return compare(to, want, got)
}

func compare(name string, want, got hash.Hash) error {
	if w, g := want.Sum(nil), got.Sum(nil); string(w) != string(g) {
		return fmt.Errorf("%s has sha256 %x, and what was copied has %x: the disk that holds the catalogue is broken", name, g, w)
	}
	return nil
}

// reader ends when its context does.
type reader struct {
	ctx  context.Context //nolint:containedctx // it lives for one copy
	from io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}

// base says what the build started from. Of the data of a build only these four keys are ever read: beside them lie the
// private key and the password that Packer entered the machine by.
func (p *PostProcessor) base(a packersdk.Artifact) string {
	said := func(key string) string {
		switch data := a.State("generated_data").(type) {
		case map[any]any: // as it arrives from another process
			text, _ := data[key].(string)
			return text
		case map[string]any:
			text, _ := data[key].(string)
			return text
		}
		return ""
	}
	if p.config.Base != "" {
		return p.config.Base
	}
	if ami := said("SourceAMI"); ami != "" {
		return fmt.Sprintf("%s (%s of %s in %s)", cmp.Or(said("SourceAMIName"), "an AMI"), ami, cmp.Or(said("SourceAMIOwner"), "an unknown owner"),
			cmp.Or(said("BuildRegion"), "an unknown region"))
	}
	return "a disk image of " + p.config.job.Recipe.OS
}
