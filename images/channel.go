package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
)

// channelsName is the catalogue's file of channels.
const channelsName = "channels.json"

// channelsFormat is the format of channels that this release writes and reads.
const channelsFormat = 1

// channels say which image of each role a name like stable stands for: the content digest, by role and name.
type channels struct {
	Format   int                                `json:"format"`
	Channels map[cluster.Role]map[string]string `json:"channels"`
}

// ErrUntried is an image that never booted on trial.
var ErrUntried = errors.New("the image never booted on trial")

var channelForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// CheckChannel tells what is wrong with the name of a channel.
func CheckChannel(name string) error {
	if !channelForm.MatchString(name) {
		return fmt.Errorf("channel %q: a channel's name is small letters, digits and hyphens, at most 32, like stable", name)
	}
	return nil
}

// Channel returns the image of the role that the channel points to. None is ErrNotFound.
func (c *Catalogue) Channel(role cluster.Role, name string) (Entry, error) {
	all, err := c.channels()
	if err != nil {
		return Entry{}, err
	}
	digest, ok := all.Channels[role][name]
	if !ok {
		return Entry{}, fmt.Errorf("%w: in %s, no %s image is in the channel %q: cincbake images promote IMAGE %s puts one there", ErrNotFound, c.dir, role, name, name)
	}
	at := id(Record{Role: role, ContentDigest: digest})
	e := c.entry(role, filepath.Base(at))
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return Entry{}, fmt.Errorf("%w: the channel %q points to %s, which is gone from %s: promote another image", ErrNotFound, name, at, c.dir)
	case e.Err != nil:
		return Entry{}, fmt.Errorf("the channel %q points to %s: %w", name, at, e.Err)
	}
	return e, nil
}

// Promotable tells why the image may not be promoted: it is broken, or it never booted on trial and untried is false, which is
// ErrUntried.
func (e Entry) Promotable(untried bool) error {
	switch {
	case e.Err != nil:
		return fmt.Errorf("%s: %w", e.ID, e.Err)
	case e.Record.Booted.IsZero() && !untried:
		return fmt.Errorf("%s: %w: run cincbake images verify %s first", e.ID, ErrUntried, e.ID)
	}
	return nil
}

// Promote makes the channel point to the image, which must have booted on trial unless untried is true; one that did not is
// ErrUntried. Each role has channels of its own.
func (c *Catalogue) Promote(ctx context.Context, image, channel string, untried bool) (_ Entry, err error) {
	if err := CheckChannel(channel); err != nil {
		return Entry{}, err
	}
	e, err := c.Show(ctx, image)
	if err != nil {
		return Entry{}, err
	}
	if err := e.Promotable(untried); err != nil {
		return Entry{}, err
	}
	lock, err := flock.Exclusive(ctx, filepath.Join(c.dir, lockName))
	if err != nil {
		return Entry{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	all, err := c.channels()
	if err != nil {
		return Entry{}, err
	}
	role := e.Record.Role
	if all.Channels[role] == nil {
		all.Channels[role] = map[string]string{}
	}
	all.Channels[role][channel] = e.Record.ContentDigest
	return e, c.putChannels(all)
}

// ChannelsOf returns the names of the channels that point to an image, sorted.
func (c *Catalogue) ChannelsOf(e Entry) ([]string, error) {
	all, err := c.channels()
	if err != nil {
		return nil, err
	}
	var names []string
	for name, digest := range all.Channels[e.Record.Role] {
		if digest == e.Record.ContentDigest {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// channels reads the file of channels; one that is not there points to nothing.
func (c *Catalogue) channels() (channels, error) {
	all := channels{Format: channelsFormat, Channels: map[cluster.Role]map[string]string{}}
	text, err := os.ReadFile(filepath.Join(c.dir, channelsName))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	if err := decodeStrict(text, &all); err != nil {
		return all, fmt.Errorf("%s: %w", filepath.Join(c.dir, channelsName), err)
	}
	if all.Format != channelsFormat {
		return all, fmt.Errorf("%s has format %d, and this release reads %d", filepath.Join(c.dir, channelsName), all.Format, channelsFormat)
	}
	if all.Channels == nil {
		all.Channels = map[cluster.Role]map[string]string{}
	}
	for role, names := range all.Channels {
		for name, digest := range names {
			if !digestForm.MatchString(digest) {
				return all, fmt.Errorf("%s: channel %q of %s points to %q, which is no content digest", filepath.Join(c.dir, channelsName), name, role, digest)
			}
		}
	}
	return all, nil
}

// putChannels writes the file of channels whole or not at all.
func (c *Catalogue) putChannels(all channels) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(c.dir, "."+strings.TrimSuffix(channelsName, ".json")+"-")
	if err != nil {
		return err
	}
	_, err = beside.Write(append(text, '\n'))
	err = errors.Join(err, beside.Chmod(0o644), beside.Sync(), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), filepath.Join(c.dir, channelsName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return syncDir(c.dir)
}
