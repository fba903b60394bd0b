package cluster

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// filesRead is what Resolve takes from the files that a spec names.
type filesRead struct {
	cincDigest   string // of cinc.package.file
	searchDigest string // of opensearch.package.file
	authorities  string // PEM
	lock         Lock
}

// maxCertificates is how large a file of certificates may be; a whole system's bundle is a quarter of it.
const maxCertificates = 1 << 20

// readFiles reads the files that the resolved cluster depends on. Problems never hold what is in them.
func (s *Spec) readFiles() (filesRead, Problems) {
	c := &checker{spec: s}
	var read filesRead
	c.rule = rulePackageFile
	if s.Cinc != nil {
		read.cincDigest = c.packageFile("cinc.package", s.Cinc.Package)
	}
	if s.OpenSearch != nil {
		read.searchDigest = c.packageFile("opensearch.package", s.OpenSearch.Package)
	}
	c.rule = ruleLock
	var err error
	if read.lock, err = s.lock(); err != nil {
		c.report("", "the lock file "+show(filepath.Base(s.LockPath()))+": "+err.Error(), "remove it, and make it again with \"cincbake lock\"")
	}
	c.rule = ruleCAFile
	for i, file := range s.CACertificates {
		read.authorities += c.authorities(index("caCertificates", i), file)
	}
	return read, c.problems
}

var errNoFile = errors.New("there is no such file")

// open opens a file that the spec names. Only a regular file is one: reading a device or a pipe might never end.
func (s *Spec) open(name string) (*os.File, error) {
	file := s.path(name)
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNoFile
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the file may not be read")
	case err != nil:
		return nil, errors.New("the file cannot be read")
	case !info.Mode().IsRegular():
		return nil, errors.New("this is no regular file")
	}
	opened, err := os.Open(file)
	if err != nil {
		return nil, errors.New("the file may not be read")
	}
	return opened, nil
}

const remedyFile = "write its path relative to this file's folder, or from the root"

// packageFile returns the digest of a package that is a file, in the kind that the spec states one in.
func (c *checker) packageFile(at string, p PackageSpec) string {
	if p.File == "" {
		return ""
	}
	file, err := c.spec.open(p.File)
	if err != nil {
		c.report(join(at, "file"), err.Error(), remedyFile)
		return ""
	}
	defer file.Close()
	sum := sha256.New()
	kind, key := "sha256:", "sha256"
	if p.SHA512 != "" {
		sum, kind, key = sha512.New(), "sha512:", "sha512"
	}
	if _, err := io.Copy(sum, file); err != nil {
		c.report(join(at, "file"), "the file cannot be read to its end", remedyFile)
		return ""
	}
	digest := kind + hex.EncodeToString(sum.Sum(nil))
	if stated := p.digest(); stated != "" && stated != digest {
		c.report(join(at, key), "the file has another digest", "is it the right file? Its own is "+strings.TrimPrefix(digest, kind))
	}
	return digest
}

// authorities returns the certificates in a file, as PEM without anything around them.
func (c *checker) authorities(at, name string) string {
	if name == "" { // reported already
		return ""
	}
	file, err := c.spec.open(name)
	if err != nil {
		c.report(at, err.Error(), remedyFile)
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxCertificates+1))
	switch {
	case err != nil:
		c.report(at, "the file cannot be read to its end", remedyFile)
		return ""
	case len(text) > maxCertificates:
		c.report(at, fmt.Sprintf("the file is larger than %d KiB", maxCertificates>>10), "name a file that holds certificates only")
		return ""
	case looksSecret(string(text)):
		c.report(at, "the file holds a private key", "name a file that holds certificates only; this one's would be copied to every machine")
		return ""
	}
	var found strings.Builder
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		switch {
		case block.Type != "CERTIFICATE" || err != nil:
			c.report(at, "the file holds something that is no certificate", "name a file of certificates in PEM")
			return ""
		case !certificate.IsCA:
			c.report(at, "the file holds a certificate that is no authority's", "name the authority that signed it")
			return ""
		}
		found.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if found.Len() == 0 {
		c.report(at, "the file holds no certificate", "name a file of certificates in PEM")
	}
	return found.String()
}
