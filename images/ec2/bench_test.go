package ec2_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/ec2"
)

// warehouse answers for ten regions with many images each, in the words of AWS and without a thought: what is measured is the
// client.
type warehouse struct {
	images int          // in each region
	pages  int          // of AMIs, in each region
	calls  atomic.Int64 // first tries
	most   atomic.Int64 // the most bytes that the heap held when a call came

	mu    sync.Mutex
	texts map[string]string // answers, by region, action and page
}

var scopeForm = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([a-z0-9-]+)/([a-z0-9-]+)/`)

func (w *warehouse) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	if strings.HasPrefix(in.Header.Get("Amz-Sdk-Request"), "attempt=1;") || in.Header.Get("Amz-Sdk-Request") == "attempt=1" {
		w.calls.Add(1) // what a busy host makes the client try again is no other call
	}
	body, _ := io.ReadAll(in.Body)
	region := scopeForm.FindStringSubmatch(in.Header.Get("Authorization"))[1]
	if strings.HasSuffix(in.Header.Get("X-Amz-Target"), "GetParametersByPath") {
		out.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(out).Encode(map[string]any{"Parameters": []map[string]string{{"Name": "/cincbake/prod/postgres/stable", "Value": ami(region, 0)}}})
		return
	}
	values, _ := url.ParseQuery(string(body))
	_, _ = io.WriteString(out, w.answer(region, values.Get("Action"), values.Get("NextToken")))
}

// ami names the nth AMI of a region, and snap its snapshot.
func ami(region string, n int) string { return fmt.Sprintf("ami-%s-%06d", region, n) }

func snap(region string, n int) string { return fmt.Sprintf("snap-%s-%06d", region, n) }

// answer is what a region says. Half of the images run somewhere.
func (w *warehouse) answer(region, action, token string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := region + action + token
	if text, ok := w.texts[key]; ok {
		return text
	}
	var text strings.Builder
	fmt.Fprintf(&text, "<%sResponse>", action)
	tags := func(n int) {
		text.WriteString("<tagSet>")
		for _, tag := range [][2]string{
			{cluster.TagCluster, "prod"},
			{cluster.TagRole, "postgres"},
			{cluster.TagRecipe, "sha256:" + strings.Repeat(fmt.Sprint(n%10), 64)},
			{cluster.TagContent, fmt.Sprintf("sha256:%06d%s", n, strings.Repeat("0", 58))},
			{cluster.TagState, ec2.StateRecorded},
			{ec2.TagCreated, "2026-01-02T03:04:05Z"},
			{ec2.TagBooted, "2026-01-02T03:14:05Z"},
			{"Name", "postgres of prod"},
		} {
			fmt.Fprintf(&text, "<item><key>%s</key><value>%s</value></item>", tag[0], tag[1])
		}
		text.WriteString("</tagSet>")
	}
	switch action {
	case "DescribeImages":
		from := 0
		_, _ = fmt.Sscan(token, &from)
		size := w.images / w.pages
		text.WriteString("<imagesSet>")
		for n := from * size; n < (from+1)*size; n++ {
			fmt.Fprintf(&text, `<item><imageId>%s</imageId><name>cincbake-postgres-%06d</name><imageState>available</imageState><imageOwnerId>111122223333</imageOwnerId>
<imageLocation>111122223333/cincbake-postgres-%06d</imageLocation><isPublic>false</isPublic><architecture>x86_64</architecture><imageType>machine</imageType>
<rootDeviceName>/dev/xvda</rootDeviceName><rootDeviceType>ebs</rootDeviceType><virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor><enaSupport>true</enaSupport>
<imdsSupport>v2.0</imdsSupport><creationDate>2026-01-02T03:04:05.000Z</creationDate><deregistrationProtection>disabled</deregistrationProtection>
<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>%s</snapshotId><volumeSize>8</volumeSize><volumeType>gp3</volumeType><encrypted>true</encrypted></ebs></item></blockDeviceMapping>`,
				ami(region, n), n, n, snap(region, n))
			tags(n)
			text.WriteString("</item>")
		}
		text.WriteString("</imagesSet>")
		if from+1 < w.pages {
			fmt.Fprintf(&text, "<nextToken>%d</nextToken>", from+1)
		}
	case "DescribeSnapshots":
		text.WriteString("<snapshotSet>")
		for n := range w.images {
			fmt.Fprintf(&text, "<item><snapshotId>%s</snapshotId><status>completed</status><startTime>2026-01-02T03:04:05.000Z</startTime>", snap(region, n))
			tags(n)
			text.WriteString("</item>")
		}
		text.WriteString("</snapshotSet>")
	case "DescribeInstances":
		text.WriteString("<reservationSet><item><instancesSet>")
		for n := range w.images / 2 {
			fmt.Fprintf(&text, "<item><instanceId>i-%06d</instanceId><imageId>%s</imageId><instanceState><code>16</code><name>running</name></instanceState></item>", n, ami(region, n))
		}
		text.WriteString("</instancesSet></item></reservationSet>")
	case "DescribeLaunchTemplates":
		text.WriteString("<launchTemplates>")
		for n := range 6 {
			fmt.Fprintf(&text, `<item><launchTemplateId>lt-%d</launchTemplateId><launchTemplateName>cincbake-prod-%d</launchTemplateName><defaultVersionNumber>1</defaultVersionNumber>
<latestVersionNumber>1</latestVersionNumber><tagSet><item><key>cincbake:cluster</key><value>prod</value></item></tagSet></item>`, n, n)
		}
		text.WriteString("</launchTemplates>")
	case "DescribeLaunchTemplateVersions":
		fmt.Fprintf(&text, "<launchTemplateVersionSet><item><versionNumber>1</versionNumber><launchTemplateData><imageId>%s</imageId></launchTemplateData></item></launchTemplateVersionSet>", ami(region, 0))
	case "DescribeAutoScalingGroups":
		text.WriteString("<DescribeAutoScalingGroupsResult><AutoScalingGroups/></DescribeAutoScalingGroupsResult>")
	}
	fmt.Fprintf(&text, "</%sResponse>", action)
	w.texts[key] = text.String()
	return text.String()
}

// open returns a catalogue of ten regions.
func (w *warehouse) open(tb testing.TB) *ec2.Catalogue {
	tb.Helper()
	server := httptest.NewServer(w)
	tb.Cleanup(server.Close)
	w.texts = map[string]string{}
	options := ec2.Options{Cluster: "prod", Bucket: "records"}
	for n := range 10 {
		sdk := aws.Config{Region: fmt.Sprintf("eu-test-%d", n), BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
		options.Objects = s3.NewFromConfig(sdk)
		options.Regions = append(options.Regions, ec2.Region{Name: sdk.Region, EC2: awsec2.NewFromConfig(sdk), Parameters: ssm.NewFromConfig(sdk), Groups: autoscaling.NewFromConfig(sdk)})
	}
	c, err := ec2.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var policy = ec2.Policy{Keep: 3, MinAge: 7 * day, Versions: 3, Now: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)}

// The calls that list and prune make do not grow with the images, but for pages, and two for each AMI that would go.
func TestCallsAreBounded(t *testing.T) {
	for _, size := range []struct{ images, pages int }{{40, 1}, {60, 3}} {
		w := &warehouse{images: size.images, pages: size.pages}
		c := w.open(t)
		all, err := c.List(t.Context())
		if err != nil || len(all) != size.images {
			t.Fatalf("%d images, %v", len(all), err)
		}
		if calls := int(w.calls.Swap(0)); calls != 10*(size.pages+1) {
			t.Errorf("list: %d calls", calls)
		}
		fates, err := c.Plan(t.Context(), ec2.Policy{Keep: 1, Now: policy.Now})
		if err != nil {
			t.Fatal(err)
		}
		going := 0
		for _, f := range fates {
			if !f.Keep {
				going += len(f.Places)
			}
		}
		// Pages of AMIs; snapshots, channels, instances, groups, templates; versions of six templates.
		if calls := int(w.calls.Load()); going == 0 || calls != 10*(size.pages+5+6)+2*going {
			t.Errorf("prune: %d calls for %d that go", calls, going)
		}
	}
}

func BenchmarkList(b *testing.B) {
	measure(b, func(ctx context.Context, c *ec2.Catalogue) (int, error) {
		all, err := c.List(ctx)
		return len(all), err
	})
}

func BenchmarkPlan(b *testing.B) {
	measure(b, func(ctx context.Context, c *ec2.Catalogue) (int, error) {
		fates, err := c.Plan(ctx, policy)
		return len(fates), err
	})
}

// measure reads 1,000 AMIs, 100 in each region, and 10,000: 1,000 images that are in all ten.
func measure(b *testing.B, read func(context.Context, *ec2.Catalogue) (int, error)) {
	b.Helper()
	for _, size := range []struct{ images, pages int }{{100, 1}, {1000, 1}} {
		b.Run(fmt.Sprintf("%d AMIs", 10*size.images), func(b *testing.B) {
			w := &warehouse{images: size.images, pages: size.pages}
			c := w.open(b)
			if _, err := read(b.Context(), c); err != nil { // the answers are made once
				b.Fatal(err)
			}
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			ended := make(chan struct{})
			go func() { // what the heap holds above what it held before, every 20 ms
				for {
					select {
					case <-ended:
						return
					case <-time.After(20 * time.Millisecond):
						var now runtime.MemStats
						runtime.ReadMemStats(&now)
						w.most.Store(max(w.most.Load(), int64(now.HeapInuse)-int64(before.HeapInuse)))
					}
				}
			}()
			w.calls.Store(0)
			for b.Loop() {
				if n, err := read(b.Context(), c); err != nil || n < size.images {
					b.Fatalf("%d rows, %v", n, err)
				}
			}
			close(ended)
			b.ReportMetric(float64(w.calls.Load())/float64(b.N), "calls/op")
			b.ReportMetric(float64(w.most.Load())/1e6, "MB-peak")
		})
	}
}
