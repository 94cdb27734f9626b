# A VPC over three AZs with private subnets only: no internet gateway, no NAT, no route out. Builds and secrets come through endpoints.

data "aws_region" "here" {}

locals {
  azs = sort(keys(var.availability_zones))
  # A /18 for each AZ, and in it a /19 for cells, a /24 for routers and a /28 for the control plane.
  zone = { for at, az in local.azs : az => cidrsubnet(var.cidr, 2, at) }
  subnets = merge([
    for az in local.azs : {
      "cell/${az}"    = { az = az, role = "cell", cidr = cidrsubnet(local.zone[az], 1, 0) }
      "router/${az}"  = { az = az, role = "router", cidr = cidrsubnet(local.zone[az], 6, 32) }
      "control/${az}" = { az = az, role = "control", cidr = cidrsubnet(local.zone[az], 10, 528) }
    }
  ]...)
}

resource "aws_vpc" "fleet" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = var.name })
}

# The group that AWS gives to whatever names none lets nothing in and nothing out.
resource "aws_default_security_group" "none" {
  vpc_id  = aws_vpc.fleet.id
  ingress = []
  egress  = []
  tags    = merge(var.tags, { Name = "${var.name}-none" })
}

resource "aws_subnet" "private" {
  for_each                = local.subnets
  vpc_id                  = aws_vpc.fleet.id
  availability_zone       = var.availability_zones[each.value.az]
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-${replace(each.key, "/", "-")}" })
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.fleet.id
  tags   = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

# Builds are fetched from S3.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.fleet.id
  service_name      = "com.amazonaws.${data.aws_region.here.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}

# Tokens and keys are fetched from Secrets Manager. Each module lets its own machines in.
resource "aws_security_group" "secrets" {
  name_prefix            = "${var.name}-secrets-"
  description            = "The endpoint of Secrets Manager"
  vpc_id                 = aws_vpc.fleet.id
  revoke_rules_on_delete = true
  tags                   = merge(var.tags, { Name = "${var.name}-secrets" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_endpoint" "secrets" {
  vpc_id              = aws_vpc.fleet.id
  service_name        = "com.amazonaws.${data.aws_region.here.name}.secretsmanager"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for az in local.azs : aws_subnet.private["router/${az}"].id]
  security_group_ids  = [aws_security_group.secrets.id]
  tags                = merge(var.tags, { Name = "${var.name}-secrets" })
}
