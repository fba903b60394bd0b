package foundation

import (
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// network adds the network that everything is in, or asks for the one that there is.
func (f *foundation) network() error {
	zones := max(len(f.Network.Subnets), f.searchZones())
	if f.made {
		return f.makeNetwork(zones)
	}
	f.template.parameter("Vpc", fields{{"Type", "AWS::EC2::VPC::Id"}, {"Description", "The network that the subnets of the spec are in."}})
	f.subnets = slices.Clone(f.Network.Subnets)
	for n := len(f.subnets) + 1; n <= zones; n++ {
		name := fmt.Sprintf("SearchSubnet%d", n)
		f.template.parameter(name, fields{
			{"Type", "AWS::EC2::Subnet::Id"},
			{"Description", fmt.Sprintf("A subnet in one more zone than the spec's: the search domain has %d nodes, in a zone each.", zones)},
		})
		f.subnets = append(f.subnets, "${"+name+"}")
	}
	return nil
}

// makeNetwork adds a network without any way to the internet: what its machines call of AWS has an endpoint inside.
func (f *foundation) makeNetwork(zones int) error {
	prefixes, err := split(f.Network.Prefix, zones)
	if err != nil {
		return err
	}
	t := &f.template
	t.resource("Vpc", "AWS::EC2::VPC", fields{
		{"CidrBlock", f.Network.Prefix.Masked().String()}, {"EnableDnsSupport", true}, {"EnableDnsHostnames", true}, {"Tags", f.tags("network")},
	})
	t.resource("RouteTable", "AWS::EC2::RouteTable", fields{{"VpcId", "${Vpc}"}, {"Tags", f.tags("private")}})
	for i, prefix := range prefixes {
		name := fmt.Sprintf("Subnet%d", i+1)
		t.resource(name, "AWS::EC2::Subnet", fields{
			{"VpcId", "${Vpc}"},
			{"CidrBlock", prefix.String()},
			{"AvailabilityZone", call{"Select", []any{i, call{"GetAZs", ""}}}},
			{"MapPublicIpOnLaunch", false},
			{"Tags", f.tags(fmt.Sprintf("subnet %d", i+1))},
		})
		t.resource(name+"Routes", "AWS::EC2::SubnetRouteTableAssociation", fields{{"SubnetId", "${" + name + "}"}, {"RouteTableId", "${RouteTable}"}})
		f.subnets = append(f.subnets, "${"+name+"}")
	}
	f.endpoints()
	for i := range f.Network.Subnets {
		t.tell(fmt.Sprintf("Subnet%d", i+1), fmt.Sprintf("network.subnets[%d]", i), f.subnets[i])
	}
	// Policies name the subnets that machines are in.
	f.Network.Subnets = f.subnets[:len(f.Network.Subnets)]
	return nil
}

// endpoints adds a way to each service that machines call.
func (f *foundation) endpoints() {
	t := &f.template
	t.resource("EndpointSecurityGroup", "AWS::EC2::SecurityGroup", fields{
		{"GroupDescription", "Endpoints of AWS in the network"},
		{"VpcId", "${Vpc}"},
		{"SecurityGroupIngress", []any{fields{
			{"IpProtocol", cluster.TCP},
			{"FromPort", cluster.PortHTTPS},
			{"ToPort", cluster.PortHTTPS},
			{"CidrIp", f.Network.Prefix.Masked().String()},
			{"Description", "AWS"},
		}}},
		{"Tags", f.tags("endpoints")},
	})
	for _, e := range []struct{ name, service string }{{"Autoscaling", "autoscaling"}, {"Ec2", "ec2"}, {"SecretsManager", "secretsmanager"}} {
		t.resource(e.name+"Endpoint", "AWS::EC2::VPCEndpoint", fields{
			{"VpcEndpointType", "Interface"},
			{"ServiceName", "com.amazonaws.${AWS::Region}." + e.service},
			{"VpcId", "${Vpc}"},
			{"PrivateDnsEnabled", true},
			{"SubnetIds", list(f.subnets)},
			{"SecurityGroupIds", []any{"${EndpointSecurityGroup}"}},
		})
	}
	t.resource("S3Endpoint", "AWS::EC2::VPCEndpoint", fields{
		{"VpcEndpointType", "Gateway"}, {"ServiceName", "com.amazonaws.${AWS::Region}.s3"}, {"VpcId", "${Vpc}"}, {"RouteTableIds", []any{"${RouteTable}"}},
	})
}
