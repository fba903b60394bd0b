package cluster

import (
	"regexp"
	"strings"
)

// Effect is what a changed field of the spec does to a running cluster.
type Effect string

// The effects.
const (
	Refresh Effect = "refresh" // machines learn it by themselves, or it concerns none that runs
	Replace Effect = "replace" // it reaches machines with the next roll: images or node documents change
	Never   Effect = "never"   // it would lose data or the cluster: refused
)

// Mark is a field's effect, why it is so, and the way around for a change that is refused.
type Mark struct {
	Effect Effect `json:"effect"`
	Reason string `json:"reason"`
	Way    string `json:"way,omitempty"`
}

// Field is a key of the spec: what it means, and what a change of it does.
type Field struct {
	Path string `json:"path"` // like postgres.disk; of a machine in a list without its place, postgres.nodes.disk
	Doc  string `json:"doc"`
	Mark
}

// Fields returns every key of the spec in the order of its types. The JSON schema, the reference and EffectOf read it.
func Fields() []Field {
	var (
		everywhere = Mark{Replace, "it is in every machine's node document", ""}
		baked      = Mark{Replace, "it is in the images", ""}
		bakes      = Mark{Refresh, "only bakes use it, from the next one on", ""}
		bundle     = Mark{Refresh, "machines fetch it with their secrets", ""}
		apiNodes   = Mark{Replace, "API nodes are configured with it when they boot", ""}
		database   = Mark{Replace, "database nodes are replaced one at a time: replicas first, then a planned switchover", ""}
		voters     = Mark{Replace, "voters are replaced one at a time, so that a majority stays", ""}
		search     = Mark{Replace, "search nodes are replaced one at a time, and only from green", ""}
		instances  = Mark{Replace, "the launch template changes, and its instances are replaced", ""}
		balancers  = Mark{Replace, "load balancers are replaced one at a time, while the other holds the VIP", ""}
		repository = Mark{Replace, "database nodes are configured with it when they boot; older backups stay where they were", ""}
		newCluster = "make a new cluster from a backup of this one"
		identity   = func(reason string) Mark { return Mark{Never, reason, newCluster} }
		volume     = Mark{Replace, "a replaced machine attaches the volume that its slot has: only a new slot gets the new size; grow an existing volume at EC2", ""}
		volumeKey  = Mark{Replace, "a machine may use this key alone: launch plan refuses another one than that of a volume that a slot keeps", ""}
		groups     = Mark{Refresh, "a slot's network interface takes them up at once", ""}
	)
	return []Field{
		{"apiVersion", "The format of this file.", identity("another format is another file")},
		{"kind", "What this file describes.", identity("another kind is another file")},
		{
			"name", "The cluster's name: lower-case letters, digits and hyphens, 30 at most. It is in every certificate, so choose it for good.",
			identity("it is in every certificate and in etcd, and machines with another are no members"),
		},
		{"platform", "Where the machines run: onprem (virtual machines of any hypervisor, booted with a NoCloud seed) or aws.", identity("machines do not move")},
		{"region", "The AWS region that the cluster lives in.", identity("machines and volumes do not move")},
		{"domain", "The name that clients connect to: a full name in lower case, 64 characters at most. Required with an API tier.", apiNodes},
		{"tls", "The certificate that clients see. Default: the cluster's own CA signs one.", apiNodes},
		{"tls.certificate", "A file with the certificate and its intermediates, PEM. \"cincbake secrets init\" reads it into the bundle.", apiNodes},
		{"tls.key", "A file with the certificate's private key, PEM.", apiNodes},
		{"image", "What every machine is made from.", baked},
		{"image.os", "The system. Default: debian-13.", baked},
		{"image.arch", "The processors, in Debian's words. Default: amd64, the only one that Cinc Server is built for.", baked},
		{"image.mirror", "A Debian mirror for bakes, like http://mirror.example.com. Default: Debian's own.", bakes},
		{"image.proxy", "A proxy for bakes, like http://proxy.example.com:3128. Default: none.", bakes},
		{"network", "The one IPv4 network that the machines live in.", everywhere},
		{"network.prefix", "The network that holds every machine; on AWS the VPC's.", identity("every address changes at once, and no majority survives that")},
		{"network.subnets", "AWS: the subnets that instances are launched in, in two zones at least.", instances},
		{"network.gateway", "The router. Default: none, for a network without a way out.", everywhere},
		{"network.dns", "Name servers, three at most. Default: none, as machines know each other by address; on AWS the VPC's.", everywhere},
		{"network.ntp", "Time servers. Default: none, for hypervisors that keep the clock; on AWS Amazon's.", everywhere},
		{"network.interface", "The network interface's name inside the machines. Default: eth0.", everywhere},
		{"cinc", "The Cinc Server. Required with an API tier.", baked},
		{"cinc.version", "Its full version, like 15.10.91. What it works with: \"cincbake compat\".", Mark{Replace, "one API node is upgraded first, under a lock, and then the others", ""}},
		{"cinc.package", "Where a bake gets it: a url with its sha256, a file, or official: true.", baked},
		{"cinc.package.url", "Where to download it from.", bakes},
		{"cinc.package.file", "A file, relative to this file's folder.", baked},
		{"cinc.package.sha256", "The package's SHA-256, 64 hexadecimal digits. Required with url; of a file it is computed.", baked},
		{"cinc.package.sha512", "The package's SHA-512, instead.", baked},
		{"cinc.package.official", "true: look it up at packages.cinc.sh once, and keep the answer in the lock file.", baked},
		{"cinc.settings", "Lines of cinc-server.rb: group → key → text, number, true or false, or a list of those; top-level settings stand beside the groups.", apiNodes},
		{"cinc.hooks", "Programs of your own, baked into the image, as lists of words: they run as root and without a shell.", apiNodes},
		{"cinc.hooks.preConfigure", "Runs before the machine is configured for the first time.", apiNodes},
		{"cinc.hooks.postReady", "Runs once the machine is ready.", apiNodes},
		{"lb", "The load balancer: two machines with one VIP, or nlb on AWS. Without it, clients connect to the API nodes or to a balancer of yours.", balancers},
		{"lb.vip", "The address that clients connect to. It moves when the machine that holds it fails.", balancers},
		{"lb.nodes", "The two machines.", balancers},
		{
			"lb.routerId", "The pair's VRRP id, which no other pair in the network may have. Default: 51.",
			Mark{Replace, "while one has the new id and the other the old, both hold the VIP: replace them right after each other", ""},
		},
		{"api", "The API nodes. Alone, without postgres, opensearch and lb, it is one standalone server with everything inside.", apiNodes},
		{"api.nodes", "How many are launched now. Default: 1.", Mark{Refresh, "the others know every address of the pool already: launch one, or shut one down", ""}},
		{
			"api.addresses", "Every address that an API node may ever have: an address, a range like 10.20.0.20-10.20.0.29, or a list of both.",
			Mark{Replace, "load balancers, firewalls and the database's limit know the pool", ""},
		},
		{"api.min", "AWS: how many the autoscaling group keeps. Default: 2.", Mark{Refresh, "the autoscaling group takes it up", ""}},
		{"api.max", "AWS: how many there may be. The database is sized for it.", Mark{Replace, "max_connections follows from it: database nodes restart PostgreSQL", ""}},
		{"api.instanceType", "AWS: the instance type, with 4 GiB of memory at least.", instances},
		{
			"api.disk", "Standalone: the data disk, like /dev/vdb. It outlives the image and is formatted only if blank.",
			Mark{Never, "the server would start empty on the other disk", "attach the same disk at the new path, or make a new cluster from a backup of this one"},
		},
		{"api.volume", "AWS, standalone: the data volume, which outlives the instance.", volume},
		{"api.volume.size", "Its size in GiB.", volume},
		{"api.volume.type", "Its type. Default: gp3.", volume},
		{"postgres", "The database: nodes of its own, or external.", Mark{Never, "the data would stay where it was", "move it with a backup, into a new cluster"}},
		{
			"postgres.version", "The major. Default: 13, the newest that Cinc Server up to 15.10.116 accepts.",
			Mark{Never, "the data's format is the major's", "dump the databases, and restore them into a new cluster"},
		},
		{"postgres.nodes", "Two nodes and a heartbeat, or three or five nodes.", database},
		{"postgres.disk", "The data disk of every node that names none itself, like /dev/vdb. It outlives the image and is formatted only if blank.", database},
		{"postgres.instanceType", "AWS: the instance type of every node that names none itself.", instances},
		{"postgres.volume", "AWS: the data volume of every node that names none itself.", volume},
		{"postgres.volume.size", "Its size in GiB.", volume},
		{"postgres.volume.type", "Its type. Default: gp3.", volume},
		{"postgres.external", "Somebody else's database, like RDS.", Mark{Never, "the data would stay where it was", "move it with a backup, into a new cluster"}},
		{"postgres.external.host", "The primary's name or address, or what always leads to it.", Mark{Replace, "API nodes connect there from their next boot on: it must lead to the same databases", ""}},
		{"postgres.external.port", "Its port. Default: 5432.", apiNodes},
		{"postgres.external.tls", "require or disable; nothing is verified in either. Default: require.", apiNodes},
		{
			"postgres.external.owner", "The login that makes Cinc's databases and roles. It needs CREATEROLE and CREATEDB, and its session must hash passwords with md5. Default: cinc_owner.",
			Mark{Never, "the databases belong to it", "give the databases to the new login first, with REASSIGN OWNED, and rename it to the old one's name"},
		},
		{"postgres.external.maxConnections", "How many connections it allows. It is held against what all API nodes that there may be open.", Mark{Refresh, "it is only checked", ""}},
		{"postgres.external.rds", "true: it is Amazon's. Default: by the host's name.", apiNodes},
		{"heartbeat", "A small third machine that breaks the tie of two database nodes.", voters},
		{
			"opensearch", "The search: nodes of its own, or external. An index has a fixed name, so every Cinc cluster needs its own search.",
			Mark{Replace, "the index is made again from the database: run \"cinc-server-ctl reindex -a\" on one API node afterwards", ""},
		},
		{"opensearch.version", "Its full version. Default: 1.3.20.", search},
		{"opensearch.package", "Where a bake gets it: a url with its sha512, a file, or official: true.", baked},
		{"opensearch.package.url", "Where to download it from.", bakes},
		{"opensearch.package.file", "A file, relative to this file's folder.", baked},
		{"opensearch.package.sha256", "The package's SHA-256, instead.", baked},
		{"opensearch.package.sha512", "The package's SHA-512, 128 hexadecimal digits. Required with url; of a file it is computed.", baked},
		{"opensearch.package.official", "true: look it up at artifacts.opensearch.org once, and keep the answer in the lock file.", baked},
		{"opensearch.nodes", "Three nodes; or one where search may be down for a while; or five, seven or nine.", search},
		{"opensearch.disk", "The data disk of every node that names none itself. Default: the root disk, as the index can be made again.", search},
		{"opensearch.instanceType", "AWS: the instance type of every node that names none itself.", instances},
		{"opensearch.volume", "AWS: the data volume of every node that names none itself. Default: the root volume.", volume},
		{"opensearch.volume.size", "Its size in GiB.", volume},
		{"opensearch.volume.type", "Its type. Default: gp3.", volume},
		{"opensearch.external", "Somebody else's search, like Amazon OpenSearch Service.", Mark{Replace, "the index is made again from the database: run \"cinc-server-ctl reindex -a\" on one API node afterwards", ""}},
		{"opensearch.external.url", "Its root, with https.", Mark{Replace, "API nodes connect there from their next boot on; for another search, run \"cinc-server-ctl reindex -a\" on one API node afterwards", ""}},
		{"opensearch.external.nodes", "How many data nodes it has: the index's shards and replicas follow from it.", Mark{Replace, "the index keeps its shards until it is made again", ""}},
		{"opensearch.external.user", "The login that may make and use the index chef. Default: cinc.", apiNodes},
		{"backup", "Where the databases are copied to, off the nodes: exactly one of s3, sftp and path.", repository},
		{"backup.s3", "A bucket.", repository},
		{"backup.s3.bucket", "Its name.", repository},
		{"backup.s3.region", "Its region.", repository},
		{"backup.s3.endpoint", "The host name of an S3 that is not Amazon's. Default: Amazon's for the region.", repository},
		{"backup.s3.prefix", "The folder in it. Default: the cluster's name.", repository},
		{"backup.sftp", "An account on another machine.", repository},
		{"backup.sftp.host", "The machine.", repository},
		{"backup.sftp.user", "The account.", repository},
		{"backup.sftp.path", "The folder.", repository},
		{"backup.sftp.hostKey", "The SHA-256 of the machine's host key, 64 hexadecimal digits.", repository},
		{"backup.path", "A mounted share, like NFS.", repository},
		{"backup.full", "How many full backups are kept. Default: 4.", repository},
		{"backup.restore", "The point that a cluster without data begins from. Default: empty.", Mark{Refresh, "a cluster that has data ignores it", ""}},
		{"backup.restore.latest", "true: the newest that the repository has.", Mark{Refresh, "a cluster that has data ignores it", ""}},
		{"backup.restore.time", "A moment, like 2026-11-26T08:00:00Z.", Mark{Refresh, "a cluster that has data ignores it", ""}},
		{"aws", "AWS: what the cluster uses in the account and does not make itself. \"cincbake launch\" needs it.", instances},
		{"aws.bucket", "The bucket that holds the images' records.", Mark{Refresh, "only people and CI read there", ""}},
		{"aws.key", "The ARN of the KMS key that encrypts secrets and images.", Mark{Refresh, "a machine may use this key alone: secrets push refuses another one than that of a secret that is there; new images are encrypted with it", ""}},
		{"aws.volumeKey", "The ARN of the KMS key that encrypts volumes. Default: aws.key.", volumeKey},
		{"aws.instanceProfiles", "The instance profile of each tier's machines: a name.", instances},
		{"aws.instanceProfiles.api", "Of the API nodes, or of the standalone server.", instances},
		{"aws.instanceProfiles.postgres", "Of the database nodes.", instances},
		{"aws.instanceProfiles.heartbeat", "Of the heartbeat.", instances},
		{"aws.instanceProfiles.opensearch", "Of the search nodes.", instances},
		{"aws.securityGroups", "The security groups of each tier's machines: a list of ids.", groups},
		{"aws.securityGroups.api", "Of the API nodes, or of the standalone server.", instances},
		{"aws.securityGroups.postgres", "Of the database nodes.", groups},
		{"aws.securityGroups.heartbeat", "Of the heartbeat.", groups},
		{"aws.securityGroups.opensearch", "Of the search nodes.", groups},
		{"aws.targetGroups", "The ARNs of the load balancer's target groups, where it finds the API nodes. Required with lb: nlb.", Mark{Refresh, "the autoscaling group takes it up", ""}},
		{"caCertificates", "Files of certificate authorities that every machine trusts besides the system's, PEM.", everywhere},
		{"access", "How a human gets in when all else fails.", everywhere},
		{"access.ssh", "Public keys, lines of authorized_keys without options. Default: nobody.", everywhere},
		{"secrets", "Where the cluster's secrets are kept.", bundle},
		{"secrets.file", "The bundle that \"cincbake secrets init\" makes: a .json file, or a .age file that is encrypted. Default: secrets.json.", bundle},
		{"secrets.recipients", "The age public keys of those who can open a .age file: two at least, so that a lost key loses nothing.", bundle},
	}
}

// nodeFields are the keys of one machine, in the list or at the key that it stands in.
func nodeFields(in string) []Field {
	const perSlot = "the machine is replaced"
	address := Mark{Replace, "the machine is replaced, and the others learn its new address with their next boot", ""}
	if in == "postgres.nodes" || in == "heartbeat" {
		address = Mark{Never, "the quorum knows its members by their addresses", "make a new cluster from a backup of this one"}
	}
	return []Field{
		{"address", "Its address.", address},
		{"disk", "Its data disk, like /dev/vdb.", Mark{Replace, perSlot + ", and fetches what it held from its peers if the disk is blank", ""}},
		{"subnet", "AWS: its subnet.", Mark{Never, "a volume and a network interface do not leave their zone", "add a slot in the other subnet, wait until it has joined, and remove this one"}},
		{"instanceType", "AWS: its instance type.", Mark{Replace, perSlot, ""}},
		{"volume", "AWS: its data volume.", Mark{Replace, "only a new slot gets the new size; grow an existing volume at EC2", ""}},
		{"volume.size", "Its size in GiB.", Mark{Replace, "only a new slot gets the new size; grow an existing volume at EC2", ""}},
		{"volume.type", "Its type. Default: gp3.", Mark{Replace, "only a new slot gets the new type; change an existing volume at EC2", ""}},
	}
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// FieldOf returns what is known of a path in a spec, like postgres.nodes[1].disk or cinc.settings.nginx.ssl_protocols: its
// own row, or that of the nearest key around it.
func FieldOf(path string) (Field, bool) {
	path = indexes.ReplaceAllString(path, "")
	table := map[string]Field{}
	for _, field := range Fields() {
		table[field.Path] = field
	}
	for _, machine := range []string{"lb.nodes", "postgres.nodes", "opensearch.nodes", "heartbeat"} {
		if key, ok := strings.CutPrefix(path, machine+"."); ok {
			for _, field := range nodeFields(machine) {
				if field.Path == key {
					field.Path = path
					return field, true
				}
			}
		}
	}
	for ; path != ""; path = parent(path) {
		if field, ok := table[path]; ok {
			return field, true
		}
	}
	return Field{}, false
}

// EffectOf returns what a change at a path of a spec does to a running cluster. A path that no spec has is refused.
func EffectOf(path string) Mark {
	if field, ok := FieldOf(path); ok {
		return field.Mark
	}
	return Mark{Never, "there is no such key", "correct the path"}
}
