package fakeaws

// me is who makes all calls.
const me = "arn:aws:iam::" + Account + ":user/baker"

// sts says who calls.
type sts struct{}

var _ service = sts{}

func (sts) protocol() protocol { return queryProtocol{"https://sts.amazonaws.com/doc/2011-06-15/"} }

func (s sts) answer(c *Call, id string) ([]byte, error) {
	if c.Action != "GetCallerIdentity" {
		return nil, refuse("InvalidAction", "the fake has no action %q of sts", c.Action)
	}
	return s.protocol().reply(id, c.Action, struct {
		ARN     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string
	}{me, "AIDAEXAMPLE", Account})
}
