package foundation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/launch/iam"
)

// The security groups that are no machines'.
const (
	balancerGroup = "BalancerSecurityGroup"
	databaseGroup = "DatabaseSecurityGroup"
	searchGroup   = "SearchSecurityGroup"
)

// Who is outside of the cluster, as parameters.
const (
	clientsParameter   = "ClientsPrefix"
	operatorsParameter = "OperatorsPrefix"
)

// securityGroups adds one for all machines, one for each role's and one for each service, with the rows of the port table that
// lead there. What leaves is not limited here: each machine's own firewall and the other end decide.
func (f *foundation) securityGroups() {
	f.prefix(clientsParameter, "Who uses the cluster.")
	f.prefix(operatorsParameter, "Who runs the cluster: status, and emergencies.")
	f.group(iam.ClusterSecurityGroup, "All machines")
	for _, role := range iam.MachineRoles(f.Resolved) {
		f.group(iam.SecurityGroupOf(role), string(role)+" machines")
		f.template.tell("SecurityGroups"+iam.Title(role), "aws.securityGroups."+tier(role)+"[0]", "${"+iam.SecurityGroupOf(role)+".GroupId}")
		f.template.tell("SecurityGroups"+iam.Title(role)+"Cluster", "aws.securityGroups."+tier(role)+"[1]", "${"+iam.ClusterSecurityGroup+".GroupId}")
	}
	if f.balanced() {
		f.group(balancerGroup, "Load balancer")
	}
	if f.hasDatabase() {
		f.group(databaseGroup, "Database")
	}
	if f.hasSearch() {
		f.group(searchGroup, "Search")
	}
	for _, flow := range cluster.Ports(f.Resolved) {
		f.admit(flow)
	}
}

// tier is the key of a role's tier in the spec.
func tier(role cluster.Role) string {
	if role == cluster.RoleStandalone {
		return string(cluster.RoleAPI)
	}
	return string(role)
}

func (f *foundation) prefix(name, what string) {
	f.template.parameter(name, fields{
		{"Type", "String"},
		{"Default", f.Network.Prefix.Masked().String()},
		{"Description", what + " Default: the network itself."},
		{"AllowedPattern", `^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`},
		{"ConstraintDescription", "a network like 10.0.0.0/8"},
	})
}

func (f *foundation) group(name, what string) {
	f.template.resource(name, "AWS::EC2::SecurityGroup", fields{
		{"GroupDescription", fmt.Sprintf("%s of the Cinc Server cluster %s", what, f.Name)}, {"VpcId", "${Vpc}"}, {"Tags", f.tags(strings.ToLower(what))},
	})
}

// groupOf is the security group of a flow's end; empty: nobody's here.
func (f *foundation) groupOf(role cluster.Role) string {
	switch {
	case len(f.NodesOf(role)) > 0:
		return iam.SecurityGroupOf(role)
	case role == cluster.RolePostgres && f.hasDatabase():
		return databaseGroup
	case role == cluster.RoleOpenSearch && f.hasSearch():
		return searchGroup
	}
	return ""
}

// admit adds the rules of a flow.
func (f *foundation) admit(flow cluster.Flow) {
	to := f.groupOf(flow.To)
	if to == "" || flow.Protocol != cluster.TCP {
		return
	}
	switch flow.From {
	case cluster.FromClients:
		if f.balanced() && flow.To == cluster.RoleAPI {
			f.rule(balancerGroup, "Clients", field{"CidrIp", "${" + clientsParameter + "}"}, flow)
			f.rule(to, "Balancer", source(balancerGroup), flow)
			return
		}
		f.rule(to, "Clients", field{"CidrIp", "${" + clientsParameter + "}"}, flow)
	// Every machine has these rows.
	case cluster.FromOperators:
		f.rule(iam.ClusterSecurityGroup, "Operators", field{"CidrIp", "${" + operatorsParameter + "}"}, flow)
	case cluster.FromCluster:
		f.rule(iam.ClusterSecurityGroup, "Machines", source(iam.ClusterSecurityGroup), flow)
	default:
		if from := cluster.Role(flow.From); slices.Contains(iam.MachineRoles(f.Resolved), from) {
			f.rule(to, iam.Title(from), source(iam.SecurityGroupOf(from)), flow)
		}
	}
}

func source(group string) field { return field{"SourceSecurityGroupId", "${" + group + ".GroupId}"} }

// rule adds a resource of its own, once: groups that name each other could not be made otherwise.
func (f *foundation) rule(to, who string, from field, flow cluster.Flow) {
	name := fmt.Sprintf("%sFrom%s%d", strings.TrimSuffix(to, "SecurityGroup"), who, flow.Port)
	if slices.ContainsFunc(f.template.resources, func(r field) bool { return r.name == name }) {
		return
	}
	f.template.resource(name, "AWS::EC2::SecurityGroupIngress", inline{
		{"GroupId", "${" + to + ".GroupId}"},
		{"IpProtocol", flow.Protocol},
		{"FromPort", flow.Port},
		{"ToPort", flow.Port},
		from,
		{"Description", plain(flow.Why)},
	})
}

// plain is a text in the letters that EC2 takes in descriptions, which apostrophes are not among.
func plain(text string) string {
	return strings.NewReplacer("'s ", " ", "s' ", "s ", "'", "").Replace(text)
}
