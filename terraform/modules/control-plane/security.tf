# Who may talk to the control plane: its own nodes, operators, and the routers and cells whose modules let themselves in.

resource "aws_security_group" "control" {
  name_prefix            = "${var.name}-control-"
  description            = "The control plane"
  vpc_id                 = var.network.vpc_id
  revoke_rules_on_delete = true
  tags                   = merge(local.tags, { Name = "${var.name}-control" })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  control = aws_security_group.control.id
  flows = {
    peer    = { from = local.control, to = local.control, port = local.ports.peer, why = "Raft" }
    api     = { from = local.control, to = local.control, port = local.ports.api, why = "the leader's API" }
    secrets = { from = local.control, to = var.network.secrets_security_group_id, port = 443, why = "Secrets Manager" }
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

resource "aws_vpc_security_group_ingress_rule" "operators" {
  for_each          = toset(var.operator_cidrs)
  security_group_id = local.control
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ports.api
  to_port           = local.ports.api
  description       = "operators"
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "builds" {
  security_group_id = local.control
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "the build, from S3"
  tags              = local.tags
}
