output "instance_profile" {
  description = "The name of the instance profile."
  value       = aws_iam_instance_profile.machine.name
}

output "user_data" {
  description = "The script of each machine's first start, by the machine's key."
  value = {
    for key, config in var.configs : key => templatefile("${path.module}/boot.sh.tftpl", {
      program = var.program
      region  = var.region
      source  = "s3://${local.bucket[0]}/${local.binary}"
      sha256  = var.build.sha256
      secrets = var.secrets
      files   = { for name, content in merge(var.files, { "config.toml" = config }) : name => base64encode(content) }
    })
  }
}

output "policy" {
  description = "The role's policy, as JSON."
  value       = aws_iam_role_policy.machine.policy
}
