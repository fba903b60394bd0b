package cloudinit_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake ops"

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// testCluster is a database tier on-premises.
func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name:     "prod",
		Platform: cluster.OnPrem,
		Image:    cluster.Image{OS: "debian-13", Arch: "amd64"},
		Network: cluster.Network{
			Prefix:    netip.MustParsePrefix("10.20.0.0/24"),
			Gateway:   address("10.20.0.1"),
			DNS:       []netip.Addr{address("10.20.0.2"), address("10.20.0.3")},
			NTP:       []netip.Addr{address("10.20.0.2")},
			Interface: "eth0",
		},
		Postgres: &cluster.Postgres{Version: 13, MaxConnections: 850},
		Access:   cluster.Access{SSH: []string{sshKey}},
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: address("10.20.0.31"), Disk: "/dev/vdb"},
			{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: address("10.20.0.32"), Disk: "/dev/vdb"},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: address("10.20.0.33")},
		},
	}
}

func pool(first string, count int) []netip.Addr {
	all := []netip.Addr{address(first)}
	for len(all) < count {
		all = append(all, all[len(all)-1].Next())
	}
	return all
}

func nodes(role cluster.Role, addresses ...netip.Addr) []cluster.Node {
	var found []cluster.Node
	for i, a := range addresses {
		found = append(found, cluster.Node{Name: fmt.Sprintf("%s-%d", role, i+1), Role: role, Slot: i + 1, Address: a})
	}
	return found
}

// selfHosted has every tier on-premises: two API nodes of a pool of ten.
func selfHosted() *cluster.Resolved {
	r := testCluster()
	database := r.Nodes
	r.Domain = "chef.example.com"
	r.Cinc = &cluster.Cinc{
		Version:      "15.10.91",
		Settings:     map[string]map[string]any{"opscode_erchef": {"depsolver_timeout": 10000}, "nginx": {"ssl_protocols": []any{"TLSv1.2", 3}}, "": {"insecure_addon_compat": true}},
		PreConfigure: []string{"/usr/local/bin/mount-assets"},
	}
	r.LB = &cluster.LB{Kind: cluster.LBNodes, VIP: address("10.20.0.10"), RouterID: 51}
	r.API = &cluster.API{Pool: pool("10.20.0.20", 10), Min: 2, Max: 10}
	r.OpenSearch = &cluster.OpenSearch{Version: "1.3.20", Shards: 3, Replicas: 2}
	r.Backup = &cluster.Backup{S3: &cluster.BackupS3{Bucket: "backups", Region: "eu-west-1", Endpoint: "s3.eu-west-1.amazonaws.com", Prefix: "/prod"}, Full: 4}
	r.Nodes = nodes(cluster.RoleLB, pool("10.20.0.11", 2)...)
	r.Nodes = append(r.Nodes, nodes(cluster.RoleAPI, pool("10.20.0.20", 2)...)...)
	r.Nodes = append(r.Nodes, database...)
	r.Nodes = append(r.Nodes, nodes(cluster.RoleOpenSearch, pool("10.20.0.41", 3)...)...)
	return r
}

// managed has API nodes and load balancers; the rest is somebody else's.
func managed() *cluster.Resolved {
	r := selfHosted()
	r.Nodes, r.Backup = r.NodesOf(cluster.RoleLB, cluster.RoleAPI), nil
	r.Postgres.External = &cluster.ExternalPostgres{Host: "db.example.com", Port: 5432, TLS: true, Owner: "cinc_owner"}
	r.OpenSearch.External = &cluster.ExternalOpenSearch{URL: "https://search.example.com", Nodes: 3, User: "cinc"}
	return r
}

func standalone() *cluster.Resolved {
	r := selfHosted()
	r.LB, r.Postgres, r.OpenSearch = nil, nil, nil
	r.API = &cluster.API{Pool: pool("10.20.0.20", 1), Min: 1, Max: 1}
	r.Nodes = nodes(cluster.RoleStandalone, address("10.20.0.20"))
	r.Nodes[0].Disk = "/dev/vdb"
	return r
}

// onAWS moves a cluster to AWS: no addresses, no interface, machines in slots, and the API pool a group.
func onAWS(r *cluster.Resolved) *cluster.Resolved {
	r.Platform, r.Region = cluster.AWS, "eu-west-1"
	r.Network = cluster.Network{
		Prefix: netip.MustParsePrefix("10.30.0.0/16"), NTP: []netip.Addr{address("169.254.169.123")}, Subnets: []string{"subnet-0a", "subnet-0b", "subnet-0c"},
	}
	if r.LB != nil {
		r.LB = &cluster.LB{Kind: cluster.LBNLB}
	}
	if r.Postgres != nil {
		r.API = &cluster.API{Min: 2, Max: 6, InstanceType: "m6i.xlarge"}
	} else {
		r.API = &cluster.API{Min: 1, Max: 1, InstanceType: "m6i.xlarge"}
	}
	slots := r.Nodes
	r.Nodes = nil
	for _, n := range slots {
		n.Address, n.Disk = netip.Addr{}, ""
		switch {
		case n.Role == cluster.RoleLB, n.Role == cluster.RoleAPI && n.Slot > 1:
			continue
		case n.Role == cluster.RoleAPI:
			n.Name, n.Slot, n.Placement = string(n.Role), 0, &cluster.Placement{InstanceType: "m6i.xlarge"}
		default:
			n.Placement = &cluster.Placement{Subnet: r.Network.Subnets[(n.Slot-1)%3], InstanceType: "r6i.large", VolumeGiB: 100, VolumeType: "gp3"}
		}
		r.Nodes = append(r.Nodes, n)
	}
	return r
}

// onPremises and inCloud are one cluster per topology.
func onPremises() map[string]*cluster.Resolved {
	return map[string]*cluster.Resolved{
		"self-hosted": selfHosted(), "managed": managed(), "standalone": standalone(), "database": testCluster(),
	}
}

func inCloud() map[string]*cluster.Resolved {
	return map[string]*cluster.Resolved{
		"aws-self-hosted": onAWS(selfHosted()), "aws-managed": onAWS(managed()), "aws-standalone": onAWS(standalone()),
	}
}

// oneOfEach returns the first node of each role.
func oneOfEach(r *cluster.Resolved) []cluster.Node {
	var found []cluster.Node
	for i, n := range r.Nodes {
		if i == 0 || n.Role != r.Nodes[i-1].Role {
			found = append(found, n)
		}
	}
	return found
}

// fakeSecrets are a node's secrets with markers in place of every value: golden files hold no key and no password.
func fakeSecrets(node cluster.Node) secrets.Scoped {
	scoped := secrets.Scoped{Cluster: "prod", Node: node.Name}
	switch node.Role {
	case cluster.RolePostgres:
		scoped.Postgres, scoped.Backup = new(secrets.Postgres), new(secrets.Backup)
	case cluster.RoleAPI:
		scoped.Cinc, scoped.Front = new(secrets.Cinc), new(secrets.KeyPair)
	case cluster.RoleStandalone:
		scoped.Cinc, scoped.Front, scoped.Backup = new(secrets.Cinc), new(secrets.KeyPair), new(secrets.Backup)
	case cluster.RoleOpenSearch:
		scoped.OpenSearch = new(secrets.OpenSearch)
	}
	fill(reflect.ValueOf(&scoped).Elem(), "FAKE")
	return scoped
}

// fill gives every empty field that can hold a text the path to it as its value.
func fill(v reflect.Value, path string) {
	switch {
	case v.Type() == reflect.TypeFor[secrets.Secret]():
		v.Set(reflect.ValueOf(secrets.New(path)))
	case v.Kind() == reflect.Pointer && !v.IsNil():
		fill(v.Elem(), path)
	case v.Kind() == reflect.String && v.IsZero():
		v.SetString(path + "\n")
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), path+"-"+strings.ToUpper(v.Type().Field(i).Name))
		}
	}
}
