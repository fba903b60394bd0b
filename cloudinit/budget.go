package cloudinit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/internal/exit"
)

// Budget is where the bytes of user data go, against what its platform takes.
type Budget struct {
	Parts []Part `json:"parts"` // in the order of their first byte
	Total Part   `json:"total"`
	Limit Limit  `json:"limit"`
	Sent  int    `json:"sent"` // what counts against the limit, in the limit's own measure
	Gzip  bool   `json:"gzip"` // whether the user data is sent in its gzip form
}

// Part is a part of user data and what it adds, in bytes: to the text, to the text's gzip form, and to the base64 of that. A part that
// repeats an earlier one adds little; the sums are exact.
type Part struct {
	Name   string `json:"name"`
	Raw    int    `json:"raw"`
	Gzip   int    `json:"gzip"`
	Base64 int    `json:"base64"`
}

// Names of the parts that are not the document's own.
const (
	partFrame    = "cloud-config" // all but the rest
	partUsers    = "ssh access"
	partDocument = "node document" // its identity
)

// Budget tells where the user data's bytes go. It packs the text once for each part, so it is for people and not for every render.
func (u UserData) Budget() Budget {
	b := Budget{Limit: u.limit, Sent: u.limit.size(u.Data), Gzip: u.Gzip()}
	var end, packed int
	gzip := newPacker()
	for _, s := range split(string(u.Text)) {
		end += s.size
		all := len(gzip.pack(u.Text[:end]))
		b.add(Part{s.part, s.size, all - packed, base64Size(all) - base64Size(packed)})
		packed = all
	}
	return b
}

func (b *Budget) add(p Part) {
	at := slices.IndexFunc(b.Parts, func(known Part) bool { return known.Name == p.Name })
	if at < 0 {
		at = len(b.Parts)
		b.Parts = append(b.Parts, Part{Name: p.Name})
	}
	b.Total.Name = "total"
	for _, to := range []*Part{&b.Parts[at], &b.Total} {
		to.Raw += p.Raw
		to.Gzip += p.Gzip
		to.Base64 += p.Base64
	}
}

// exceeded refuses more than the platform takes, naming what takes most.
func (b Budget) exceeded() error {
	largest := slices.SortedStableFunc(slices.Values(b.Parts), func(a, b Part) int { return b.Gzip - a.Gzip })
	var words []string
	for _, p := range largest[:min(3, len(largest))] {
		words = append(words, fmt.Sprintf("%s %d", p.Name, p.Gzip))
	}
	return exit.Errorf(exit.Invalid, "%d bytes, and %s takes %d (most of it: %s): shorten those parts of the spec, or put what they hold into the image",
		b.Sent, b.Limit.Platform, b.Limit.Bytes, strings.Join(words, ", "))
}

// stretch is a run of lines that belong to one part.
type stretch struct {
	part string
	size int
}

// The indentation of our own output: of a file's content in the cloud-config, and of the document's two upper levels in that.
const (
	inFile    = "      "
	inTop     = inFile + "  "
	inCluster = inTop + "  "
)

// split tells which part each line of the text belongs to. The text is ours, and so is its indentation; what a user wrote
// can't be taken for a key, since it stands in quotes on a line of its own or deeper.
func split(text string) []stretch {
	var found []stretch
	part, top := partFrame, ""
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "users:"):
			part = partUsers
		case line[0] != ' ' && line[0] != '\n':
			part = partFrame
		case strings.HasPrefix(line, inCluster+`"`) && top == "cluster":
			part = "cluster." + keyOf(line)
		case strings.HasPrefix(line, inTop+`"`):
			part, top = partDocument, keyOf(line)
		case strings.HasPrefix(line, inTop+"}"), strings.HasPrefix(line, inFile+"{"), strings.HasPrefix(line, inFile+"}"):
			part = partDocument
		}
		if n := len(found); n > 0 && found[n-1].part == part {
			found[n-1].size += len(line)
		} else {
			found = append(found, stretch{part, len(line)})
		}
	}
	return found
}

// keyOf is the key of a line of indented JSON.
func keyOf(line string) string {
	_, rest, _ := strings.Cut(line, `"`)
	key, _, _ := strings.Cut(rest, `"`)
	return key
}
