# What every machine of the fleet has: a role that may fetch its build and its secrets and nothing else, and a script for its first start.

locals {
  bucket = regex("^s3://([^/]+)/(.+)$", var.build.source)
  # One binary of one version, not whatever lies beside it.
  binary = "${local.bucket[1]}/${var.build.version}/${var.program}"
}

resource "aws_iam_role" "machine" {
  name_prefix = "${substr(var.name, 0, 37)}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "machine" {
  name_prefix = "fetch-"
  role        = aws_iam_role.machine.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Build"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "arn:aws:s3:::${local.bucket[0]}/${local.binary}"
      },
      {
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = sort(values(var.secrets))
      },
      {
        Sid       = "SecretsKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ], var.rights)
  })
}

resource "aws_iam_instance_profile" "machine" {
  name_prefix = "${substr(var.name, 0, 37)}-"
  role        = aws_iam_role.machine.name
  tags        = var.tags
}
