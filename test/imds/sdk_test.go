//go:build unix

package imds

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// The SDK's own client finds a region, credentials, metadata and user data, and never falls back to version 1.
func TestSDK(t *testing.T) {
	a := newAccount(t)
	i := a.run(a.template(nil))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = netip.AddrPortFrom(i.card.Address, 40000).String()
		a.service.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := imds.New(imds.Options{Endpoint: server.URL, EnableFallback: aws.FalseTernary})

	where, err := client.GetRegion(t.Context(), &imds.GetRegionInput{})
	a.ok(err)
	a.same("region", where.Region, region)
	identity, err := client.GetInstanceIdentityDocument(t.Context(), &imds.GetInstanceIdentityDocumentInput{})
	a.ok(err)
	a.same("instance", identity.InstanceID, i.ID)
	role, err := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }).Retrieve(t.Context())
	a.ok(err)
	if role.SecretAccessKey == "" || role.SessionToken == "" || !role.CanExpire || role.Expired() {
		t.Errorf("credentials: %+v", role)
	}
	tag, err := client.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: "tags/instance/cincbake:role"})
	a.ok(err)
	text, err := io.ReadAll(tag.Content)
	a.ok(err)
	a.same("tag", string(text), "api")
	data, err := client.GetUserData(t.Context(), &imds.GetUserDataInput{})
	a.ok(err)
	text, err = io.ReadAll(data.Content)
	a.ok(err)
	a.same("user data", string(text), userData)

	tokens := 0
	for _, r := range a.service.Requests(i.ID) {
		if r.Status != http.StatusOK {
			t.Errorf("it asked in vain: %s", r)
		}
		if r.Method == http.MethodPut {
			tokens++
		}
	}
	a.same("tokens", tokens, 1)
}
