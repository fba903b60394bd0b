package iam

// pushSecrets is what cincbake secrets push calls. It reads no more than it writes: what a secret holds decides whether it is
// written. Whoever pushes holds the whole bundle anyway.
func (p parts) pushSecrets() []Statement {
	// All names of the cluster's, and not each with the six characters that Secrets Manager adds: one that is not there yet has
	// none of them, and asking for it would be denied instead of answered.
	names := []string{p.arn("secretsmanager", "secret:cincbake/"+p.Name+"/*")}
	return []Statement{
		allow("LookForSecrets", []string{"secretsmanager:DescribeSecret"}, names),
		allow("MakeSecrets", []string{"secretsmanager:CreateSecret", "secretsmanager:TagResource"}, names, p.tagged()),
		allow("WriteOwnSecrets", []string{"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"}, names, p.ours()),
		allow("UseKeyForSecrets", []string{"kms:Decrypt", "kms:GenerateDataKey"}, []string{p.key()}, p.bySecretsManager()),
	}
}

// bySecretsManager is that a key is used through Secrets Manager.
func (p parts) bySecretsManager() Condition {
	return when("StringEquals", "kms:ViaService", "secretsmanager."+p.Place.Region+"."+p.domain())
}
