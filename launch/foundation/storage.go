package foundation

// storage adds the key that everything is encrypted with, and the bucket of the images' records.
func (f *foundation) storage() {
	t := &f.template
	account := "arn:" + f.place.Partition + ":iam::${AWS::AccountId}:"
	// Who starts machines is autoscaling itself, by a role of its own that exists once somebody used it. A key's policy must not
	// name a role that does not exist; a condition may.
	autoscaling := fields{
		{"StringEquals", fields{{"kms:CallerAccount", []any{"${AWS::AccountId}"}}}},
		{"ArnEquals", fields{{"aws:PrincipalArn", []any{account + "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"}}}},
	}
	t.resource("Key", "AWS::KMS::Key", fields{
		{"Description", "Secrets, images, volumes and records of the Cinc Server cluster " + f.Name},
		{"EnableKeyRotation", true},
		{"PendingWindowInDays", 30},
		{"KeyPolicy", fields{
			{"Version", "2012-10-17"},
			{"Statement", []any{
				inline{
					{"Sid", "PoliciesOfTheAccount"},
					{"Effect", "Allow"},
					{"Principal", fields{{"AWS", []any{account + "root"}}}},
					{"Action", []any{"kms:*"}},
					{"Resource", []any{"*"}},
				},
				inline{
					{"Sid", "AutoscalingUsesIt"},
					{"Effect", "Allow"},
					{"Principal", fields{{"AWS", []any{"*"}}}},
					{"Action", []any{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"}},
					{"Resource", []any{"*"}},
					{"Condition", autoscaling},
				},
				inline{
					{"Sid", "AutoscalingLendsItToDisks"},
					{"Effect", "Allow"},
					{"Principal", fields{{"AWS", []any{"*"}}}},
					{"Action", []any{"kms:CreateGrant"}},
					{"Resource", []any{"*"}},
					{"Condition", append(autoscaling[:2:2], field{"Bool", fields{{"kms:GrantIsForAWSResource", []any{"true"}}}})},
				},
			}},
		}},
		{"Tags", f.tags("key")},
	}, kept("Retain")...)
	t.resource("RecordsBucket", "AWS::S3::Bucket", fields{
		{"BucketEncryption", fields{{"ServerSideEncryptionConfiguration", []any{fields{
			{"BucketKeyEnabled", true},
			{"ServerSideEncryptionByDefault", fields{{"SSEAlgorithm", "aws:kms"}, {"KMSMasterKeyID", "${Key.Arn}"}}},
		}}}}},
		{"VersioningConfiguration", fields{{"Status", "Enabled"}}},
		{"OwnershipControls", fields{{"Rules", []any{fields{{"ObjectOwnership", "BucketOwnerEnforced"}}}}}},
		{"PublicAccessBlockConfiguration", fields{{"BlockPublicAcls", true}, {"BlockPublicPolicy", true}, {"IgnorePublicAcls", true}, {"RestrictPublicBuckets", true}}},
		{"Tags", f.tags("records")},
	}, kept("Retain")...)
	t.resource("RecordsBucketPolicy", "AWS::S3::BucketPolicy", fields{
		{"Bucket", "${RecordsBucket}"},
		{"PolicyDocument", fields{
			{"Version", "2012-10-17"},
			{"Statement", []any{fields{
				{"Sid", "OnlyByTLS"},
				{"Effect", "Deny"},
				{"Principal", "*"},
				{"Action", []any{"s3:*"}},
				{"Resource", []any{"${RecordsBucket.Arn}", "${RecordsBucket.Arn}/*"}},
				{"Condition", fields{{"Bool", fields{{"aws:SecureTransport", []any{"false"}}}}}},
			}}},
		}},
	})
	t.tell("Bucket", "aws.bucket", "${RecordsBucket}")
	t.tell("Key", "aws.key", "${Key.Arn}")
}
