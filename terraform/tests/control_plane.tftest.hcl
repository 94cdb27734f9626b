# The control plane: three nodes in three AZs. Every call of AWS is mocked; nothing is created.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  name = "bulkhead"
  network = {
    vpc_id = "vpc-1"
    region = "eu-west-1"
    subnets = {
      for role in ["cell", "router", "control"] : role => {
        az-a = { id = "subnet-${role}-a", cidr = "10.64.33.0/28", availability_zone = "eu-west-1a" }
        az-b = { id = "subnet-${role}-b", cidr = "10.64.97.0/28", availability_zone = "eu-west-1b" }
        az-c = { id = "subnet-${role}-c", cidr = "10.64.161.0/28", availability_zone = "eu-west-1c" }
      }
    }
    s3_prefix_list_id         = "pl-1"
    secrets_security_group_id = "sg-secrets"
  }
  image           = "ami-0123456789abcdef0"
  build           = { version = "0.1.0", source = "s3://builds/bulkhead", sha256 = "3333333333333333333333333333333333333333333333333333333333333333" }
  kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/1"
  blueprint_files = { aws-small = "../blueprints/aws-small.toml" }
  operator_cidrs  = ["10.9.0.0/24"]
  secrets = {
    admin_token   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin"
    machine_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:machine"
    peer_token    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:peer"
    certify_key   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:certify"
  }
}

run "three_nodes_in_three_azs_know_each_other" {
  command = plan
  module {
    source = "./modules/control-plane"
  }

  assert {
    condition     = { for node, instance in aws_instance.node : node => instance.availability_zone } == { "1" = "eu-west-1a", "2" = "eu-west-1b", "3" = "eu-west-1c" }
    error_message = "One node in each AZ."
  }
  assert {
    condition     = output.control_plane.api == ["10.64.33.10:9002", "10.64.97.10:9002", "10.64.161.10:9002"]
    error_message = "Addresses are known before anything exists."
  }
  assert {
    condition = { for node, interface in aws_network_interface.node : node => one(interface.private_ips) } == {
      "1" = "10.64.33.10", "2" = "10.64.97.10", "3" = "10.64.161.10"
    }
    error_message = "And each node has its own."
  }
  assert {
    condition     = alltrue([for script in module.machine.user_data : length(script) < 16384 && strcontains(script, base64encode(file("../blueprints/aws-small.toml")))])
    error_message = "Blueprints come as they are, and user data fits."
  }
}

run "volumes_are_encrypted_and_metadata_needs_a_token" {
  command = plan
  module {
    source = "./modules/control-plane"
  }

  assert {
    condition     = alltrue([for volume in aws_ebs_volume.data : volume.encrypted]) && alltrue([for node in aws_instance.node : one(node.root_block_device).encrypted])
    error_message = "All volumes are encrypted."
  }
  assert {
    condition     = alltrue([for node in aws_instance.node : one(node.metadata_options).http_tokens == "required"])
    error_message = "IMDSv2 is required."
  }
}

run "it_may_stamp_only_where_a_role_is_named_for_it" {
  command = plan
  module {
    source = "./modules/control-plane"
  }
  variables {
    stamp_role_arn = "arn:aws:iam::123456789012:role/stamp"
  }

  assert {
    condition     = [for statement in jsondecode(module.machine.policy).Statement : statement.Action] == ["s3:GetObject", "secretsmanager:GetSecretValue", "kms:Decrypt", "sts:AssumeRole"]
    error_message = "It may assume the one role."
  }
}

run "the_api_is_not_open_to_the_world" {
  command = plan
  module {
    source = "./modules/control-plane"
  }
  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.operator_cidrs]
}
