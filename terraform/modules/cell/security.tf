# Who may talk to a node: routers (S3), the control plane (admin, and S3 to certify), the other nodes of this cell (peer). Nobody else.
# There is no rule between two cells.

resource "aws_security_group" "cell" {
  name_prefix            = "${local.name}-"
  description            = "Nodes of cell ${var.cell}"
  vpc_id                 = var.network.vpc_id
  revoke_rules_on_delete = true
  tags                   = merge(local.tags, { Name = local.name })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  cell = aws_security_group.cell.id
  # Each is let out on one side and in on the other: from, to, port, why.
  flows = {
    router-s3     = { from = var.router_security_group_id, to = local.cell, port = local.ports.s3, why = "requests of tenants" }
    control-admin = { from = var.control_plane.security_group_id, to = local.cell, port = local.ports.admin, why = "accounts, keys, health" }
    control-s3    = { from = var.control_plane.security_group_id, to = local.cell, port = local.ports.s3, why = "the load that certifies" }
    peer          = { from = local.cell, to = local.cell, port = local.ports.peer, why = "Raft and chunks" }
    claims        = { from = local.cell, to = var.control_plane.security_group_id, port = 9002, why = "claims of bucket names" }
    secrets       = { from = local.cell, to = var.network.secrets_security_group_id, port = 443, why = "Secrets Manager" }
  }
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = each.value.to
  referenced_security_group_id = each.value.from
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "${each.value.why} (${var.cell})"
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = each.value.from
  referenced_security_group_id = each.value.to
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "${each.value.why} (${var.cell})"
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "builds" {
  security_group_id = local.cell
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "the build, from S3 (${var.cell})"
  tags              = local.tags
}
