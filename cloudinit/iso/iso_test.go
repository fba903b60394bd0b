package iso_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cloudinit/iso"
)

func files() []iso.File {
	return []iso.File{
		{Name: "user-data", Content: bytes.Repeat([]byte("#cloud-config\n"), 400)},
		{Name: "meta-data", Content: []byte("instance-id: i-1\n")},
		{Name: "network-config", Content: bytes.Repeat([]byte("n"), 2048)},
		{Name: "vendor-data"},
	}
}

// digest is that of the image of files(), which isoinfo, xorriso and bsdtar were seen to read. The same seed gives the same bytes
// on every day, by every user, with every release of Go; another digest needs the same look, see the integration test.
const digest = "bac10a552bfa9474a5c647df519f0a886ea0e7bf55a0583ab82129b01363b3c6"

func TestEncodeIsStable(t *testing.T) {
	image, err := iso.Encode("cidata", files())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(image)
	if got := hex.EncodeToString(sum[:]); got != digest {
		t.Errorf("digest %s, want %s", got, digest)
	}
	shuffled := files()
	slices.Reverse(shuffled)
	again, err := iso.Encode("cidata", shuffled)
	if err != nil || !bytes.Equal(image, again) {
		t.Errorf("the order of the files changes the image: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	many := make([]iso.File, 13)
	for i := range many {
		many[i].Name = strings.Repeat("a", i+1)
	}
	for _, test := range []struct {
		name, label string
		files       []iso.File
		want        string
	}{
		{"no label", "", files(), `make ISO image: "" is not a label`},
		{"a long label", strings.Repeat("a", 17), files(), `make ISO image: "aaaaaaaaaaaaaaaaa" is not a label`},
		{"a folder", "cidata", []iso.File{{Name: "a/b"}}, `make ISO image: "a/b" is not a file's name`},
		{"upper case", "cidata", []iso.File{{Name: "A"}}, `make ISO image: "A" is not a file's name`},
		{"a long name", "cidata", []iso.File{{Name: strings.Repeat("a", 27)}}, "make ISO image: "},
		{"two of one name", "cidata", []iso.File{{Name: "a"}, {Name: "a"}}, "make ISO image: two files are called a"},
		{"many files", "cidata", many, "make ISO image: 13 files, and a seed has 12 at most"},
		{"a film", "cidata", []iso.File{{Name: "a", Content: make([]byte, 1<<26+1)}}, "make ISO image: a has 67108865 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			image, err := iso.Encode(test.label, test.files)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || image != nil {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// The longest names and as many files as there may be fit into the one sector of a folder.
func TestEncodeHoldsItsLimits(t *testing.T) {
	var most []iso.File
	for i := range 12 {
		most = append(most, iso.File{Name: strings.Repeat("n", 25) + string(rune('a'+i)), Content: []byte{byte(i)}})
	}
	image, err := iso.Encode("cidata", most)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range most {
		if !bytes.Contains(image[23*2048:24*2048], []byte(f.Name)) {
			t.Errorf("%s is not in the folder", f.Name)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for b.Loop() {
		if _, err := iso.Encode("cidata", files()); err != nil {
			b.Fatal(err)
		}
	}
}
