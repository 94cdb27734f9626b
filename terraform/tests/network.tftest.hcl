# The network: three AZs, private subnets only, no way out. Every call of AWS is mocked; nothing is created.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  name               = "bulkhead"
  availability_zones = { az-a = "eu-west-1a", az-b = "eu-west-1b", az-c = "eu-west-1c" }
}

run "subnets_are_private_and_do_not_overlap" {
  command = plan
  module {
    source = "./modules/network"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch == false])
    error_message = "No subnet gives a public address."
  }
  assert {
    condition = { for name, subnet in aws_subnet.private : name => subnet.cidr_block } == {
      "cell/az-a"    = "10.64.0.0/19", "cell/az-b" = "10.64.64.0/19", "cell/az-c" = "10.64.128.0/19"
      "router/az-a"  = "10.64.32.0/24", "router/az-b" = "10.64.96.0/24", "router/az-c" = "10.64.160.0/24"
      "control/az-a" = "10.64.33.0/28", "control/az-b" = "10.64.97.0/28", "control/az-c" = "10.64.161.0/28"
    }
    error_message = "Each role has a range of its own in each AZ."
  }
  assert {
    condition     = toset([for subnet in aws_subnet.private : subnet.availability_zone]) == toset(["eu-west-1a", "eu-west-1b", "eu-west-1c"])
    error_message = "Three zones."
  }
  assert {
    condition     = length(aws_default_security_group.none.ingress) == 0 && length(aws_default_security_group.none.egress) == 0
    error_message = "The VPC's own security group lets nothing through."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-west-1.s3" && aws_vpc_endpoint.secrets.private_dns_enabled
    error_message = "S3 and Secrets Manager are reached inside the VPC."
  }
}

run "two_azs_in_one_zone_are_refused" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    availability_zones = { az-a = "eu-west-1a", az-b = "eu-west-1a", az-c = "eu-west-1c" }
  }
  expect_failures = [var.availability_zones]
}
