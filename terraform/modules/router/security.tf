# Clients reach the balancer, the balancer the routers, routers the control plane; each cell's module lets them in to its nodes.

resource "aws_security_group" "balancer" {
  name_prefix            = "${var.name}-s3-"
  description            = "The balancer of the S3 endpoint"
  vpc_id                 = var.network.vpc_id
  revoke_rules_on_delete = true
  tags                   = merge(local.tags, { Name = "${var.name}-s3" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "router" {
  name_prefix            = "${var.name}-router-"
  description            = "Routers"
  vpc_id                 = var.network.vpc_id
  revoke_rules_on_delete = true
  tags                   = merge(local.tags, { Name = "${var.name}-router" })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  balancer = aws_security_group.balancer.id
  router   = aws_security_group.router.id
  flows = {
    s3      = { from = local.balancer, to = local.router, port = local.ports.s3, why = "requests of tenants" }
    health  = { from = local.balancer, to = local.router, port = local.ports.admin, why = "health" }
    routing = { from = local.router, to = var.control_plane.security_group_id, port = 9002, why = "the routing table" }
    secrets = { from = local.router, to = var.network.secrets_security_group_id, port = 443, why = "Secrets Manager" }
  }
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = each.value.to
  referenced_security_group_id = each.value.from
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = each.value.why
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = each.value.from
  referenced_security_group_id = each.value.to
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = each.value.why
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = toset(var.client_cidrs)
  security_group_id = local.balancer
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "clients"
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "builds" {
  security_group_id = local.router
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "the build, from S3"
  tags              = local.tags
}
