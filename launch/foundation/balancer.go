package foundation

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
)

// balanced tells whether the load balancer is AWS's.
func (f *foundation) balanced() bool { return f.LB != nil && f.LB.Kind == cluster.LBNLB }

// How API nodes are asked whether they serve. Their answer decides where connections go, and nothing else: the autoscaling
// groups look at the instance alone, so a database that fails over ends no API node. When no node serves, the balancer sends
// connections to all of them. A node that goes stays until the balancer leads it nobody any more, which takes AWS's minutes.
const (
	checkPath     = "/_status"
	checkSeconds  = 10
	checkFailures = 3
	drainSeconds  = 300
)

// balancer adds AWS's load balancer, which passes TLS through.
func (f *foundation) balancer() {
	if !f.balanced() {
		return
	}
	t := &f.template
	scheme := any("internal")
	if !f.made {
		t.parameter("BalancerScheme", fields{
			{"Type", "String"},
			{"Default", "internal"},
			{"AllowedValues", []any{"internal", "internet-facing"}},
			{"Description", "internet-facing needs subnets with a way to the internet, and a ClientsPrefix."},
		})
		scheme = "${BalancerScheme}"
	}
	t.resource("Balancer", "AWS::ElasticLoadBalancingV2::LoadBalancer", fields{
		{"Type", "network"},
		{"Scheme", scheme},
		{"Subnets", list(f.Network.Subnets)},
		{"SecurityGroups", []any{"${" + balancerGroup + ".GroupId}"}},
		{"LoadBalancerAttributes", []any{attribute("load_balancing.cross_zone.enabled", "true")}},
		{"Tags", f.tags("balancer")},
	})
	for _, port := range []struct {
		name   string
		number int
	}{{"Https", cluster.PortHTTPS}, {"Http", cluster.PortHTTP}} {
		t.resource(port.name+"TargetGroup", "AWS::ElasticLoadBalancingV2::TargetGroup", fields{
			{"VpcId", "${Vpc}"},
			{"TargetType", "instance"},
			{"Protocol", "TCP"},
			{"Port", port.number},
			{"HealthCheckProtocol", "HTTPS"},
			{"HealthCheckPort", fmt.Sprint(cluster.PortHTTPS)},
			{"HealthCheckPath", checkPath},
			{"HealthCheckIntervalSeconds", checkSeconds},
			{"HealthyThresholdCount", 2},
			{"UnhealthyThresholdCount", checkFailures},
			{"Matcher", fields{{"HttpCode", "200"}}},
			{"TargetGroupAttributes", []any{
				attribute("deregistration_delay.timeout_seconds", fmt.Sprint(drainSeconds)), attribute("preserve_client_ip.enabled", "true"),
			}},
			{"Tags", f.tags(fmt.Sprintf("port %d", port.number))},
		})
		t.resource(port.name+"Listener", "AWS::ElasticLoadBalancingV2::Listener", fields{
			{"LoadBalancerArn", "${Balancer}"},
			{"Protocol", "TCP"},
			{"Port", port.number},
			{"DefaultActions", []any{fields{{"Type", "forward"}, {"TargetGroupArn", "${" + port.name + "TargetGroup}"}}}},
		})
	}
	t.tell("TargetGroupsHttps", "aws.targetGroups[0]", "${HttpsTargetGroup}")
	t.tell("TargetGroupsHttp", "aws.targetGroups[1]", "${HttpTargetGroup}")
	t.tell("Domain", "let "+f.Domain+" be an alias of it", "${Balancer.DNSName}")
}

func attribute(key, value string) inline { return inline{{"Key", key}, {"Value", value}} }
