#!/bin/sh
# As in the official package: keys that everybody has, the settings that admit them, and a script that loads users whose
# passwords everybody knows.
set -e
config_dir=/etc/opensearch
tools_dir=/usr/share/opensearch/plugins/opensearch-security/tools
if grep -q '^plugins.security' $config_dir/opensearch.yml; then
	echo "opensearch.yml has settings of the security plugin already: nothing to do"
	exit 0
fi
@KEYS@cat >>$config_dir/opensearch.yml <<'END'

######## Start OpenSearch Security Demo Configuration ########
# WARNING: revise all the lines below before you go into production
plugins.security.ssl.transport.pemcert_filepath: esnode.pem
plugins.security.ssl.transport.pemkey_filepath: esnode-key.pem
plugins.security.ssl.transport.pemtrustedcas_filepath: root-ca.pem
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.http.enabled: true
plugins.security.ssl.http.pemcert_filepath: esnode.pem
plugins.security.ssl.http.pemkey_filepath: esnode-key.pem
plugins.security.ssl.http.pemtrustedcas_filepath: root-ca.pem
plugins.security.allow_unsafe_democertificates: true
plugins.security.allow_default_init_securityindex: true
plugins.security.authcz.admin_dn:
  - CN=kirk,OU=client,O=client,L=test,C=de

plugins.security.audit.type: internal_opensearch
plugins.security.enable_snapshot_restore_privilege: true
plugins.security.check_snapshot_restore_write_privileges: true
plugins.security.restapi.roles_enabled: ["all_access", "security_rest_api_access"]
node.max_local_storage_nodes: 3
######## End OpenSearch Security Demo Configuration ########
END
cat >$tools_dir/securityadmin_demo.sh <<END
#!/bin/sh
exec $tools_dir/securityadmin.sh -cd $tools_dir/../securityconfig -icl -nhnv -key $config_dir/kirk-key.pem -cert $config_dir/kirk.pem -cacert $config_dir/root-ca.pem
END
chmod 0755 $tools_dir/securityadmin_demo.sh
