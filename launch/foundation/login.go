package foundation

// unfit are the characters that a password of a login must not have: all that can be printed, but for letters, digits, _ and -.
// Cinc Server breaks on any other, and cincbake secrets init refuses them.
const unfit = "!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~ "

// login adds a secret with a login of Cinc Server's and a password that is drawn for it. Of every kind of character there is
// one, as Amazon OpenSearch wants.
func (f *foundation) login(name, user, where string) {
	f.template.resource(name, "AWS::SecretsManager::Secret", fields{
		{"Description", "Login of the Cinc Server cluster " + f.Name + " on " + where},
		{"KmsKeyId", "${Key.Arn}"},
		{"GenerateSecretString", fields{
			{"SecretStringTemplate", `{"username":"` + user + `"}`},
			{"GenerateStringKey", "password"},
			{"PasswordLength", 32},
			{"ExcludeCharacters", unfit},
			{"RequireEachIncludedType", true},
		}},
		{"Tags", f.tags("login")},
	}, kept("Delete")...)
}

// passwordIn is the password that such a secret holds, where CloudFormation fills it in.
func passwordIn(name string) string {
	return "{{resolve:secretsmanager:${" + name + "}:SecretString:password}}"
}
