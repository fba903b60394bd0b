package foundation

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// databaseClasses are RDS's machines, by memory.
func databaseClasses() []struct {
	name string
	gib  int
} {
	return []struct {
		name string
		gib  int
	}{{"db.m6i.large", 8}, {"db.m6i.xlarge", 16}, {"db.m6i.2xlarge", 32}, {"db.m6i.4xlarge", 64}, {"db.m6i.8xlarge", 128}}
}

// databaseClass is the smallest machine that RDS itself would allow so many connections by default: a connection for every
// 9,531,392 bytes, of the memory that its own programs leave.
func databaseClass(connections int) string {
	const perConnection, left = 9531392, 0.9
	classes := databaseClasses()
	for _, class := range classes {
		if float64(class.gib)*left*(1<<30) >= float64(connections)*perConnection {
			return class.name
		}
	}
	return classes[len(classes)-1].name
}

// databaseVersions are the releases that RDS makes new databases of, by major: of old majors it is the last one alone.
func databaseVersions() map[int]string {
	return map[int]string{11: "11.22-rds.20260514", 12: "12.22", 13: "13.23", 14: "14.24"}
}

// database adds RDS for PostgreSQL in two zones.
func (f *foundation) database() error {
	if !f.hasDatabase() {
		return nil
	}
	external := f.Postgres.External
	row, err := cluster.CompatFor(f.Cinc.Version)
	if err != nil {
		return exit.As(exit.Invalid, err)
	}
	if !row.AcceptsPostgres(f.Postgres.Version) {
		return exit.Errorf(exit.Invalid, "Cinc Server %s accepts PostgreSQL %s, not %d: change postgres.version", f.Cinc.Version, row.PostgresRange(), f.Postgres.Version)
	}
	version, ok := databaseVersions()[f.Postgres.Version]
	if !ok {
		return exit.Errorf(exit.Invalid, "RDS makes no new databases of PostgreSQL %d: change postgres.version", f.Postgres.Version)
	}
	t := &f.template
	t.parameter("DatabaseClass", fields{
		{"Type", "String"},
		{"Default", databaseClass(f.Postgres.MaxConnections)},
		{"Description", fmt.Sprintf("RDS machine, with memory for %d connections.", f.Postgres.MaxConnections)},
	})
	t.parameter("DatabaseVersion", fields{
		{"Type", "String"},
		{"Default", version},
		{"Description", fmt.Sprintf("PostgreSQL %d as RDS makes new databases of it. RDS updates it by itself.", f.Postgres.Version)},
		{"AllowedPattern", fmt.Sprintf(`^%d(\..+)?$`, f.Postgres.Version)},
	})
	t.parameter("DatabaseGiB", fields{{"Type", "Number"}, {"Default", 100}, {"MinValue", 20}, {"Description", "Storage to begin with. It grows to five times as much."}})
	t.parameter("DatabaseMaxGiB", fields{{"Type", "Number"}, {"Default", 500}, {"MinValue", 22}, {"Description", "Storage that it may grow to."}})
	t.resource("DatabaseSubnets", "AWS::RDS::DBSubnetGroup", fields{
		{"DBSubnetGroupDescription", "Cinc Server cluster " + f.Name}, {"SubnetIds", list(f.Network.Subnets)}, {"Tags", f.tags("database")},
	})
	parameters := fields{
		{"max_connections", fmt.Sprint(f.Postgres.MaxConnections)},
		// Cinc Server's driver is not known to speak anything newer.
		{"password_encryption", string(row.Auth)},
		{"rds.accepted_password_auth_method", "md5+scram"},
	}
	if external.TLS {
		parameters = append(parameters, field{"rds.force_ssl", "1"})
	}
	t.resource("DatabaseParameters", "AWS::RDS::DBParameterGroup", fields{
		{"Description", "Cinc Server cluster " + f.Name},
		{"Family", fmt.Sprintf("postgres%d", f.Postgres.Version)},
		{"Parameters", parameters},
		{"Tags", f.tags("database")},
	})
	// Not RDS's own: it draws passwords that Cinc Server breaks on, and another one each week.
	f.login("DatabaseSecret", external.Owner, "its database")
	// Without extended support, which costs, RDS would move to a major that Cinc Server refuses once its own support ends.
	t.resource("Database", "AWS::RDS::DBInstance", fields{
		{"Engine", "postgres"},
		{"EngineVersion", "${DatabaseVersion}"},
		{"EngineLifecycleSupport", "open-source-rds-extended-support"},
		{"DBInstanceClass", "${DatabaseClass}"},
		{"DBParameterGroupName", "${DatabaseParameters}"},
		{"MultiAZ", true},
		{"DBSubnetGroupName", "${DatabaseSubnets}"},
		{"VPCSecurityGroups", []any{"${" + databaseGroup + ".GroupId}"}},
		{"PubliclyAccessible", false},
		{"Port", fmt.Sprint(external.Port)},
		{"StorageType", "gp3"},
		{"AllocatedStorage", "${DatabaseGiB}"},
		{"MaxAllocatedStorage", "${DatabaseMaxGiB}"},
		{"StorageEncrypted", true},
		{"KmsKeyId", "${Key.Arn}"},
		{"MasterUsername", external.Owner},
		{"MasterUserPassword", passwordIn("DatabaseSecret")},
		{"BackupRetentionPeriod", 14},
		{"CopyTagsToSnapshot", true},
		{"AutoMinorVersionUpgrade", true},
		{"EnableCloudwatchLogsExports", []any{"postgresql"}},
		{"DeletionProtection", true},
		{"Tags", f.tags("database")},
	}, kept("Snapshot")...)
	t.tell("PostgresExternalHost", "postgres.external.host", "${Database.Endpoint.Address}")
	t.tell("PostgresExternalMaxConnections", "postgres.external.maxConnections", fmt.Sprint(f.Postgres.MaxConnections))
	t.tell("DatabaseSecretArn", "holds the password of "+external.Owner+": cincbake secrets init takes it", "${DatabaseSecret}")
	return nil
}
