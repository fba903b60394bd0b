package fakeaws

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// s3 keeps objects. It shares EC2's lock and clock.
type s3 struct {
	ec2     *ec2
	buckets map[string]*bucket
}

// bucket is of one region; its name is everybody's.
type bucket struct {
	region  string
	objects map[string]*object
}

type object struct {
	body     []byte
	etag     string
	kind     string // the content type
	modified time.Time
	header   http.Header // the user's metadata, and checksums
}

func newS3(e *ec2) *s3 { return &s3{ec2: e, buckets: map[string]*bucket{}} }

func (s *s3) service() service {
	return &tabled{name: "s3", speaks: restProtocol{}, lock: &s.ec2.mu, actions: map[string]func(*Call) (any, error){
		"CreateBucket":      s.createBucket,
		"HeadBucket":        s.headBucket,
		"GetBucketLocation": s.location,
		"PutObject":         s.put,
		"GetObject":         s.get,
		"HeadObject":        s.head,
		"ListObjectsV2":     s.list,
		"DeleteObject":      s.delete,
	}}
}

// notFound is S3's answer for what there is not.
func notFound(code, format string, args ...any) *Error {
	e := refuse(code, format, args...)
	e.Status = http.StatusNotFound
	return e
}

func (s *s3) bucket(c *Call) (*bucket, error) {
	b := s.buckets[c.Params.String("Bucket")]
	switch {
	case b == nil:
		return nil, notFound("NoSuchBucket", "The specified bucket does not exist")
	case b.region != c.Region:
		c.tell("X-Amz-Bucket-Region", b.region)
		return nil, &Error{Status: http.StatusMovedPermanently, Code: "PermanentRedirect", Message: "The bucket is in " + b.region}
	}
	return b, nil
}

func (s *s3) object(c *Call) (*object, error) {
	b, err := s.bucket(c)
	if err != nil {
		return nil, err
	}
	o := b.objects[c.Params.String("Key")]
	if o == nil {
		return nil, notFound("NoSuchKey", "The specified key does not exist.")
	}
	return o, nil
}

func (s *s3) createBucket(c *Call) (any, error) {
	name := c.Params.String("Bucket")
	if s.buckets[name] != nil {
		return nil, &Error{Status: http.StatusConflict, Code: "BucketAlreadyOwnedByYou", Message: "you have this bucket already"}
	}
	s.buckets[name] = &bucket{c.Region, map[string]*object{}}
	c.tell("Location", "/"+name)
	return nil, nil
}

func (s *s3) headBucket(c *Call) (any, error) {
	if _, err := s.bucket(c); err != nil {
		return nil, err
	}
	c.tell("X-Amz-Bucket-Region", c.Region)
	return nil, nil
}

func (s *s3) location(c *Call) (any, error) {
	if _, err := s.bucket(c); err != nil {
		return nil, err
	}
	region := c.Region
	if region == "us-east-1" {
		region = "" // as it was before there were regions
	}
	return struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region}, nil
}

func (s *s3) put(c *Call) (any, error) {
	b, err := s.bucket(c)
	if err != nil {
		return nil, err
	}
	p := c.Params
	old := b.objects[p.String("Key")]
	failed := &Error{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold"}
	switch {
	case p.String("If-None-Match") == "*" && old != nil:
		return nil, failed
	case p.Has("If-Match") && old == nil:
		return nil, notFound("NoSuchKey", "The specified key does not exist.")
	case p.Has("If-Match") && p.String("If-Match") != old.etag:
		return nil, failed
	}
	sum := md5.Sum(c.Body) //nolint:gosec // S3's ETag
	o := &object{
		body: c.Body, etag: strconv.Quote(hex.EncodeToString(sum[:])), kind: p.String("Content-Type"), modified: s.ec2.now(), header: http.Header{},
	}
	for _, name := range p.Names() {
		if strings.HasPrefix(name, "X-Amz-Meta-") || strings.HasPrefix(name, "X-Amz-Checksum-") || strings.HasPrefix(name, "X-Amz-Server-Side-Encryption") {
			o.header.Set(name, p.String(name))
		}
	}
	b.objects[p.String("Key")] = o
	c.tell("ETag", o.etag)
	return nil, nil
}

func (s *s3) head(c *Call) (any, error) {
	o, err := s.object(c)
	if err != nil {
		return nil, err
	}
	c.tell("ETag", o.etag)
	c.tell("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	c.tell("Content-Type", o.kind)
	c.tell("Content-Length", strconv.Itoa(len(o.body)))
	maps.Copy(c.header, o.header)
	return nil, nil
}

func (s *s3) get(c *Call) (any, error) {
	if _, err := s.head(c); err != nil {
		return nil, err
	}
	o, err := s.object(c)
	if err != nil {
		return nil, err
	}
	return o.body, nil
}

// maxKeys is how many a list holds at most.
const maxKeys = 1000

func (s *s3) list(c *Call) (any, error) {
	type content struct {
		Key          string
		ETag         string
		Size         int
		LastModified string
	}
	type common struct{ Prefix string }
	var reply struct {
		XMLName   xml.Name `xml:"ListBucketResult"`
		Name      string
		Prefix    string
		Delimiter string `xml:",omitempty"`
		KeyCount  int
		MaxKeys   int
		Truncated bool   `xml:"IsTruncated"`
		Next      string `xml:"NextContinuationToken,omitempty"`
		Contents  []content
		Common    []common `xml:"CommonPrefixes"`
	}
	b, err := s.bucket(c)
	if err != nil {
		return nil, err
	}
	p := c.Params
	most := maxKeys
	if p.Has("max-keys") {
		most = min(p.Int("max-keys"), maxKeys)
	}
	after := p.String("start-after")
	if p.Has("continuation-token") {
		token, err := base64.URLEncoding.DecodeString(p.String("continuation-token"))
		if err != nil {
			return nil, refuse("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(token)
	}
	reply.Name, reply.Prefix, reply.Delimiter, reply.MaxKeys = p.String("Bucket"), p.String("prefix"), p.String("delimiter"), most
	var last string
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, reply.Prefix)
		if !ok || key <= after || strings.HasSuffix(after, "/") && reply.Delimiter != "" && strings.HasPrefix(key, after) {
			continue
		}
		one, folder := key, false
		if before, _, cut := strings.Cut(rest, reply.Delimiter); cut && reply.Delimiter != "" {
			if one, folder = reply.Prefix+before+reply.Delimiter, true; one == last {
				continue
			}
		}
		if reply.KeyCount == most {
			reply.Truncated, reply.Next = true, base64.URLEncoding.EncodeToString([]byte(last))
			break
		}
		last = one
		reply.KeyCount++
		if folder {
			reply.Common = append(reply.Common, common{one})
			continue
		}
		o := b.objects[key]
		reply.Contents = append(reply.Contents, content{key, o.etag, len(o.body), stamp(o.modified)})
	}
	return reply, nil
}

// delete is content when there is none, as S3 is.
func (s *s3) delete(c *Call) (any, error) {
	b, err := s.bucket(c)
	if err != nil {
		return nil, err
	}
	delete(b.objects, c.Params.String("Key"))
	c.status = http.StatusNoContent
	return nil, nil
}

// Objects returns the keys of a bucket in order; without the bucket, none.
func (s *Server) Objects(bucket string) []string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	if b := s.s3.buckets[bucket]; b != nil {
		return slices.Sorted(maps.Keys(b.objects))
	}
	return nil
}

// AddBucket makes an empty bucket in a region.
func (s *Server) AddBucket(region, name string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.s3.buckets[name] = &bucket{region, map[string]*object{}}
}
