# Routers: three AZs, one balancer without a public address. Every call of AWS is mocked; nothing is created.

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
        az-a = { id = "subnet-${role}-a", cidr = "10.64.0.0/19", availability_zone = "eu-west-1a" }
        az-b = { id = "subnet-${role}-b", cidr = "10.64.64.0/19", availability_zone = "eu-west-1b" }
        az-c = { id = "subnet-${role}-c", cidr = "10.64.128.0/19", availability_zone = "eu-west-1c" }
      }
    }
    s3_prefix_list_id         = "pl-1"
    secrets_security_group_id = "sg-secrets"
  }
  image           = "ami-0123456789abcdef0"
  build           = { version = "0.1.0", source = "s3://builds/bulkhead", sha256 = "2222222222222222222222222222222222222222222222222222222222222222" }
  kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/1"
  certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
  client_cidrs    = ["10.64.0.0/16"]
  control_plane   = { api = ["10.64.33.10:9002"], security_group_id = "sg-control" }
  secrets         = { machine_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:machine" }
}

run "routers_are_in_three_azs_behind_one_private_balancer" {
  command = plan
  module {
    source = "./modules/router"
  }
  variables {
    routers_per_az = 2
  }

  assert {
    condition     = { for az, group in aws_autoscaling_group.router : az => group.vpc_zone_identifier } == { for az in ["az-a", "az-b", "az-c"] : az => toset(["subnet-router-${substr(az, 3, 1)}"]) }
    error_message = "A group in each AZ."
  }
  assert {
    condition     = alltrue([for group in aws_autoscaling_group.router : group.min_size == 2 && group.max_size == 2 && group.desired_capacity == 2])
    error_message = "As many routers in each AZ as asked for."
  }
  assert {
    condition     = aws_lb.s3.internal && aws_lb.s3.load_balancer_type == "network" && length(aws_lb.s3.subnets) == 3
    error_message = "The balancer is a private one in three AZs."
  }
  assert {
    condition     = alltrue([for interface in aws_launch_template.router.network_interfaces : interface.associate_public_ip_address == "false"])
    error_message = "A router has no public address."
  }
  assert {
    condition     = aws_lb_listener.s3.protocol == "TLS" && aws_lb_listener.s3.port == 443 && one(aws_lb_target_group.s3.health_check).path == "/readyz"
    error_message = "TLS outside, and only routers that are ready behind it."
  }
}

run "routers_are_encrypted_and_answer_metadata_only_with_a_token" {
  command = plan
  module {
    source = "./modules/router"
  }

  assert {
    condition = (
      toset([for device in aws_launch_template.router.block_device_mappings : device.device_name]) == toset(["/dev/xvda", "/dev/sdf"]) &&
      alltrue([for device in aws_launch_template.router.block_device_mappings : one(device.ebs).encrypted == "true"])
    )
    error_message = "Both volumes are encrypted."
  }
  assert {
    condition     = one(aws_launch_template.router.metadata_options).http_tokens == "required"
    error_message = "IMDSv2 is required."
  }
  assert {
    condition = (
      strcontains(base64decode(aws_launch_template.router.user_data), "s3://builds/bulkhead/0.1.0/bulkhead-router") &&
      strcontains(base64decode(aws_launch_template.router.user_data), "2222222222222222222222222222222222222222222222222222222222222222")
    )
    error_message = "The pinned build."
  }
}

run "only_named_clients_reach_the_balancer_and_only_it_the_routers" {
  command = apply
  module {
    source = "./modules/router"
  }

  assert {
    condition = [for rule in aws_vpc_security_group_ingress_rule.clients : "${rule.cidr_ipv4} ${rule.from_port} ${rule.security_group_id}"] == [
      "10.64.0.0/16 443 ${aws_security_group.balancer.id}"
    ]
    error_message = "Clients come from the named ranges to the balancer's port."
  }
  assert {
    condition = toset([
      for rule in aws_vpc_security_group_ingress_rule.flow : "${rule.referenced_security_group_id} ${rule.to_port}"
      if rule.security_group_id == aws_security_group.router.id
    ]) == toset(["${aws_security_group.balancer.id} 9000", "${aws_security_group.balancer.id} 9001"])
    error_message = "Into a router: the balancer only."
  }
}

run "the_whole_world_is_no_client" {
  command = plan
  module {
    source = "./modules/router"
  }
  variables {
    client_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.client_cidrs]
}

run "no_endpoint_is_without_tls" {
  command = plan
  module {
    source = "./modules/router"
  }
  variables {
    certificate_arn = ""
  }
  expect_failures = [var.certificate_arn]
}
