package foundation

import "strings"

// search adds a domain of Amazon OpenSearch Service, with a node in each of its zones. In a network it needs a role of the
// service's own, one for all domains of the account: it cannot be here, as an account that has it refuses another one.
func (f *foundation) search() {
	if !f.hasSearch() {
		return
	}
	external, zones := f.OpenSearch.External, f.searchZones()
	t := &f.template
	t.parameter("SearchType", fields{{"Type", "String"}, {"Default", "r6g.large.search"}, {"Description", "What the search nodes are."}})
	t.parameter("SearchGiB", fields{{"Type", "Number"}, {"Default", 50}, {"MinValue", 10}, {"Description", "Storage of each search node."}})
	f.login("SearchSecret", external.User, "its search domain")
	cluster := fields{{"InstanceType", "${SearchType}"}, {"InstanceCount", external.Nodes}, {"DedicatedMasterEnabled", false}, {"ZoneAwarenessEnabled", zones > 1}}
	if zones > 1 {
		cluster = append(cluster, field{"ZoneAwarenessConfig", fields{{"AvailabilityZoneCount", zones}}})
	}
	// The index is made again by a reindex: nothing is lost with it.
	t.resource("Search", "AWS::OpenSearchService::Domain", fields{
		{"EngineVersion", "OpenSearch_" + majorMinor(f.OpenSearch.Version)},
		{"ClusterConfig", cluster},
		{"EBSOptions", fields{{"EBSEnabled", true}, {"VolumeType", "gp3"}, {"VolumeSize", "${SearchGiB}"}}},
		{"EncryptionAtRestOptions", fields{{"Enabled", true}, {"KmsKeyId", "${Key.Arn}"}}},
		{"NodeToNodeEncryptionOptions", fields{{"Enabled", true}}},
		{"DomainEndpointOptions", fields{{"EnforceHTTPS", true}, {"TLSSecurityPolicy", "Policy-Min-TLS-1-2-2019-07"}}},
		{"AdvancedSecurityOptions", fields{
			{"Enabled", true},
			{"InternalUserDatabaseEnabled", true},
			{"MasterUserOptions", fields{
				{"MasterUserName", external.User}, {"MasterUserPassword", passwordIn("SearchSecret")},
			}},
		}},
		// Who knows the password may; Cinc Server cannot sign what it asks. The security group lets API nodes in, and nobody else.
		{"AccessPolicies", fields{
			{"Version", "2012-10-17"},
			{"Statement", []any{fields{
				{"Effect", "Allow"},
				{"Principal", fields{{"AWS", []any{"*"}}}},
				{"Action", []any{"es:ESHttp*"}},
				{"Resource", []any{"arn:" + f.place.Partition + ":es:${AWS::Region}:${AWS::AccountId}:domain/*"}},
			}}},
		}},
		{"VPCOptions", fields{{"SubnetIds", list(f.subnets[:zones])}, {"SecurityGroupIds", []any{"${" + searchGroup + ".GroupId}"}}}},
		{"Tags", f.tags("search")},
		// Another version of the engine is an upgrade of this domain, and not another domain.
	}, append(kept("Delete"), field{"UpdatePolicy", fields{{"EnableVersionUpgrade", true}}})...)
	t.tell("OpensearchExternalUrl", "opensearch.external.url", "https://${Search.DomainEndpoint}")
	t.tell("SearchSecretArn", "holds the password of "+external.User+": cincbake secrets init takes it", "${SearchSecret}")
}

// majorMinor is a version as Amazon names domains' engines.
func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
